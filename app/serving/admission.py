"""Admit work on images and plans, within bounds on memory and on the wait."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from app.core.errors import QueueFull
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size

T = TypeVar("T")

BRIEF_CROPS = 12
"""Planning takes a few ms up to this number of crops, and grows faster than the crops."""


class Places:
    """Count the work in progress, and refuse more than the limit.

    Args:
        limit: the most jobs at a time.
        busy: the text of a refusal, with a place for the number of admitted jobs.
    """

    def __init__(self, limit: int, busy: str) -> None:
        self._limit, self._busy = limit, busy
        self.taken = 0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold one place.

        Raises:
            QueueFull: no place is left.
        """
        if self.taken >= self._limit:
            raise QueueFull(
                f"{self._busy.format(self.taken)} already; the limit is {self._limit}",
                limit=self._limit,
                actual=self.taken,
                retry_after_s=1,
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class ImageWorkers:
    """Bound the memory of uploads: the number admitted, and the number in work.

    Pictures of plans are drawn one at a time: the drawing library allows no more. A drawing waits
    for its turn before it takes a worker. Drawings hold at most half of the places; other uploads
    always find workers and places.

    Args:
        workers: images in work at the same time, each in its own thread.
        queue_limit: further uploads, waiting or arriving.
    """

    def __init__(self, *, workers: int, queue_limit: int) -> None:
        limit = workers + queue_limit
        self.places = Places(limit, "{} images are in work")
        self._drawings = Places(max(1, limit // 2), "{} pictures are being drawn")
        self._threads = anyio.CapacityLimiter(workers)
        self._turn = anyio.CapacityLimiter(1)

    def admit(self) -> AbstractAsyncContextManager[None]:
        """Hold a place for one upload, from its first byte on.

        Raises:
            QueueFull: no place is left.
        """
        return self.places.hold()

    @asynccontextmanager
    async def admit_drawing(self) -> AsyncIterator[None]:
        """Hold a place for one drawing.

        Raises:
            QueueFull: no place for drawings is left.
        """
        async with self._drawings.hold(), self.places.hold():
            yield

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a worker thread, as soon as one is free."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    async def draw(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a worker thread, one drawing at a time."""
        async with self._turn:
            return await self.run(work)


class Planning:
    """Limit the planning for clients, and keep long planning off the event loop.

    Long planning has a single thread: Python runs no two threads of pure Python at once.

    Args:
        queue_limit: long calls in wait for the one in work.
    """

    def __init__(self, queue_limit: int) -> None:
        self._places = Places(1 + queue_limit, "{} large plans are in work")
        self._thread = anyio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T], *, brief: bool) -> T:
        """Call brief work at once, and other work in the thread.

        Raises:
            QueueFull: no place is left.
        """
        if brief:
            return work()
        async with self._places.hold():
            return await anyio.to_thread.run_sync(work, limiter=self._thread)


def is_brief(config: CropConfig, aspect: Size | None = None) -> bool:
    """Return True if a plan of a size of this aspect, or a table for it, takes a few ms at most.

    Without a margin, a search looks at every size of some aspects.
    """
    return config.max_crops <= BRIEF_CROPS and (aspect is None or config.margin_px > 0)
