"""CUDA graphs: a capture records and does not run, a replay runs on the memory of the capture."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from .memory import MEMORY, POOLS, Buffer, Pool
from .nested import leaves
from .state import LOCK, STATS, CudaError, check_works, problem
from .streams import CAPTURING, DEFAULT, capturing, current_stream, forbid_in_capture, order
from .transfers import fill_with_garbage

Step = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]
"""An operation on the host's tensors, what it takes, and what it returned when captured."""


class CUDAGraph:
    def __init__(self, keep_graph: bool = False) -> None:
        self.broken = self.clean = self._ready = False
        self._steps: list[Step] = []
        self._temps: list[Tensor] = []
        self._outside: dict[int, tuple[weakref.ref[Buffer], str]] = {}
        self._written: set[int] = set()
        self._saved: dict[int, tuple[Tensor, Tensor]] = {}
        self._bytes = 0

    def capture_begin(
        self, pool=None, capture_error_mode: str = "global", check_input_liveness: bool = False
    ) -> None:
        check_works()
        if current_stream() is DEFAULT:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        if CAPTURING:
            problem("two captures at a time: torch allows one in a process")
        self._stream, self.mode, self._pool = current_stream(), capture_error_mode, pool or Pool()
        self._pool.graphs.add(self)
        POOLS.add(self._pool)
        self._stream.capture = self
        CAPTURING.append(self)

    def take(self, size: int) -> None:
        """Account for memory of the pool."""
        growth = self._bytes + size - self._pool.bytes
        if growth > 0:
            MEMORY.check_room(growth)
            self._pool.bytes += growth
            MEMORY.note_peak()
        self._bytes += size

    def save(self, buffer: Buffer, host: Tensor) -> None:
        """Keep what a captured operation is about to write over, as it will not really run."""
        if buffer.graph is None and id(buffer) not in self._saved:
            whole = torch.empty(0, dtype=torch.uint8).set_(host.untyped_storage())
            self._saved[id(buffer)] = whole, whole.clone()

    def note(self, step: Step, touched: list[Any], written: list[Any], fresh: list[Any]) -> None:
        """Record an operation with its tensors of the device: touched, written and made."""
        self._steps.append(step)
        self._temps += [tensor.host for tensor in fresh]
        self._written |= {id(tensor.buffer) for tensor in written}
        for tensor in touched:
            if tensor.buffer.graph is None:
                name = f"{tuple(tensor.shape)} of {step[0]}"
                self._outside.setdefault(id(tensor.buffer), (weakref.ref(tensor.buffer), name))

    def capture_end(self) -> None:
        self._stream.capture = None
        CAPTURING.remove(self)
        with torch.inference_mode():
            for host, before in self._saved.values():
                host.copy_(before)
            self._spoil()
        self._saved = {}
        if self.broken:
            raise CudaError("CUDA error: operation failed due to a previous error during capture")
        self._ready = True
        STATS["graphs captured"] += 1

    def _spoil(self) -> None:
        """Give the memory of the pool to another graph from now on."""
        if not self.clean:
            for host in self._temps:
                fill_with_garbage(host)
            self.clean = True

    def replay(self) -> None:
        if not self._ready:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        forbid_in_capture("replay inside a capture")
        buffers = self._living()
        STATS["replays"] += 1
        with torch.inference_mode(), _disable_current_modes(), LOCK:
            for graph in self._pool.graphs:
                graph._spoil()
            self.clean = False
            written = [one for one in buffers if id(one) in self._written]
            order(current_stream(), buffers, written, "replay")
            for step in self._steps:
                _run(step)

    def _living(self) -> list[Buffer]:
        """Return the memory of the graph outside its pool."""
        found = [(ref(), name) for ref, name in self._outside.values()]
        freed = [name for buffer, name in found if buffer is None]
        if freed:
            problem(f"a graph is replayed, and what it reads was freed since its capture: {freed}")
            raise CudaError("CUDA error: an illegal memory access was encountered (freed memory)")
        return [buffer for buffer, _ in found if buffer is not None]

    def reset(self) -> None:
        self._ready = False

    def pool(self) -> Pool:
        return self._pool

    def __del__(self) -> None:
        if any(graph is not self for graph in CAPTURING):
            problem("a CUDAGraph is destroyed while another is captured, which breaks the capture")


def _run(step: Step) -> None:
    """Repeat a captured operation, into the memory of its first results."""
    work, args, kwargs, results = step
    given = {_memory(one) for one in leaves((args, kwargs)) if isinstance(one, Tensor)}
    for into, value in zip(leaves(results), leaves(work(*args, **kwargs)), strict=True):
        if isinstance(into, Tensor) and _memory(into) not in given:
            into.copy_(value)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def is_capturing() -> bool:
    return capturing() is not None
