"""The device's memory: what is allocated, kept by the allocator, and held by graphs' pools."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch

from .state import CARD, LOCK, STATS, check_works, problem
from .streams import Stream, forbid_in_capture

if TYPE_CHECKING:
    from .graphs import CUDAGraph


class Pool:
    """The memory of some graphs; the largest of them decides how much.

    It is kept as long as one of its graphs lives, and then until ``empty_cache``.
    """

    def __init__(self) -> None:
        self.graphs: weakref.WeakSet[CUDAGraph] = weakref.WeakSet()
        self.bytes = 0


POOLS: set[Pool] = set()
"""Those that hold memory."""


class Memory:
    allocated = peak = _kept = peak_reserved = 0

    @property
    def reserved(self) -> int:
        return max(self._kept, self.allocated) + sum(pool.bytes for pool in POOLS)

    def check_room(self, size: int) -> None:
        """Give back what is only kept where there is too little; fail where that is not enough."""
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
        """Give back what no tensor and no graph uses."""
        self._kept = self.allocated
        for pool in [one for one in POOLS if not one.graphs]:
            pool.bytes = 0
            POOLS.remove(pool)

    def reset_peaks(self) -> None:
        self.peak, self.peak_reserved = self.allocated, self.reserved


MEMORY = Memory()


class Buffer:
    """One allocation, shared by all tensors that view it, and who used it when."""

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
        """Whether it lay in a graph's pool, and other graphs have overwritten it since."""
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
        """Freed memory is the next allocation's of its stream, whatever another still does to it.

        Unless ``record_stream`` said that the other uses it.
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
    """Those that torch's own questions about memory are answered from."""
    return {
        "allocated_bytes.all.current": MEMORY.allocated,
        "allocated_bytes.all.peak": MEMORY.peak,
        "reserved_bytes.all.current": MEMORY.reserved,
        "reserved_bytes.all.peak": MEMORY.peak_reserved,
    }


def memory_snapshot() -> list[dict[str, object]]:
    """A segment for each pool of graphs."""
    return [
        {"device": 0, "segment_pool_id": (id(pool), 0), "total_size": pool.bytes,
         "allocated_size": 0}
        for pool in POOLS
    ]  # fmt: skip


def reset_peaks(device=None) -> None:
    MEMORY.reset_peaks()
