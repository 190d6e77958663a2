"""Count the device's memory: allocations, the allocator's reserve, and the pools of graphs."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch

from .state import CARD, LOCK, STATS, check_works, problem
from .streams import Stream, forbid_in_capture

if TYPE_CHECKING:
    from .graphs import CUDAGraph


class Pool:
    """Hold the memory of some graphs; the largest graph decides the size.

    The pool lasts until its last graph is gone and ``empty_cache`` is called.
    """

    def __init__(self) -> None:
        self.graphs: weakref.WeakSet[CUDAGraph] = weakref.WeakSet()
        self.bytes = 0


POOLS: set[Pool] = set()
"""All pools with memory."""


class Memory:
    allocated = peak = _kept = peak_reserved = 0

    @property
    def reserved(self) -> int:
        return max(self._kept, self.allocated) + sum(pool.bytes for pool in POOLS)

    def check_room(self, size: int) -> None:
        """Give back the reserve if there is too little room; fail if there still is."""
        if self.reserved + size > CARD.bytes:
            self.empty()
        if self.reserved + size > CARD.bytes:
            free = max(0, CARD.bytes - self.reserved)
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB. "
                f"GPU 0 has a total capacity of {CARD.bytes / 2**20:.2f} MiB of which "
                f"{free / 2**20:.2f} MiB is free."
            )

    def take(self, size: int) -> None:
        if self.allocated + size > self._kept:
            self.check_room(self.allocated + size - self._kept)
        self.allocated += size
        self._kept = max(self._kept, self.allocated)
        self.peak = max(self.peak, self.allocated)
        self.note_peak()

    def note_peak(self) -> None:
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def empty(self) -> None:
        """Give back the memory without a tensor or a graph."""
        self._kept = self.allocated
        for pool in [one for one in POOLS if not one.graphs]:
            pool.bytes = 0
            POOLS.remove(pool)

    def reset_peaks(self) -> None:
        self.peak, self.peak_reserved = self.allocated, self.reserved


MEMORY = Memory()


class Buffer:
    """Hold one allocation of all the tensors on it, and its uses by stream."""

    def __init__(self, size: int, stream: Stream, graph: CUDAGraph | None) -> None:
        self.bytes = 0
        self.stream = stream
        self.graph = weakref.ref(graph) if graph is not None else None
        self.write = (stream.id, 0)
        self.reads: dict[int, int] = {}
        self.used: dict[int, tuple[int, str]] = {}
        self.recorded: set[int] = set()
        rounded = -(-size // 512) * 512
        with LOCK:
            (MEMORY if graph is None else graph).take(rounded)
            self.bytes = rounded

    def is_stale(self) -> bool:
        """Return True if other graphs have overwritten this memory of a graph's pool since."""
        if self.graph is None:
            return False
        graph = self.graph()
        return graph is None or graph.clean

    def __del__(self) -> None:
        with LOCK:
            if self.graph is None:
                MEMORY.allocated -= self.bytes
                self._check_use_ended()
            elif (graph := self.graph()) is not None:
                graph.take(-self.bytes)

    def _check_use_ended(self) -> None:
        """Report a use by another stream: the next allocation of this stream gets the memory.

        A use told by ``record_stream`` is no fault.
        """
        for stream, (tick, what) in self.used.items():
            if stream not in self.recorded and not self.stream.knows(stream, tick):
                problem(
                    f"memory is freed that {what} may still use, on another stream than its own"
                )


def mem_get_info(device=None) -> tuple[int, int]:
    check_works()
    return CARD.bytes - MEMORY.reserved, CARD.bytes


def empty_cache() -> None:
    forbid_in_capture("empty_cache")
    STATS["empty_cache"] += 1
    with LOCK:
        MEMORY.empty()


def memory_stats(device=None) -> dict[str, int]:
    """Return the statistics for torch's own functions about memory."""
    return {
        "allocated_bytes.all.current": MEMORY.allocated,
        "allocated_bytes.all.peak": MEMORY.peak,
        "reserved_bytes.all.current": MEMORY.reserved,
        "reserved_bytes.all.peak": MEMORY.peak_reserved,
    }


def memory_snapshot() -> list[dict[str, object]]:
    """Return a segment for each pool of graphs."""
    return [
        {"device": 0, "segment_pool_id": (id(pool), 0), "total_size": pool.bytes,
         "allocated_size": 0}
        for pool in POOLS
    ]  # fmt: skip


def reset_peaks(device=None) -> None:
    MEMORY.reset_peaks()
