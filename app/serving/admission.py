"""Admission to the work on pixels: how many uploads at once, how many images decoded at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from app.core.errors import QueueFull

T = TypeVar("T")


class ImageWorkers:
    """Bounds the memory that uploads can take: so many in the house, so many decoded at once.

    Args:
        workers: images in work at the same time, each in a thread of its own.
        queue_limit: further uploads that may wait or be arriving.

    Pictures of plans are drawn one at a time, as the library that draws them allows no more. They
    wait for their turn before they take a worker, and hold no more than half of the places, so
    that all others find workers and places free however many are to be drawn.
    """

    def __init__(self, *, workers: int, queue_limit: int) -> None:
        self._limit = workers + queue_limit
        self._admitted = 0
        self._drawings = 0
        self._most_drawings = max(1, self._limit // 2)
        self._threads = anyio.CapacityLimiter(workers)
        self._turn = anyio.CapacityLimiter(1)

    @property
    def admitted(self) -> int:
        """Uploads in the house."""
        return self._admitted

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Hold a place for one upload, from its first byte on.

        Raises:
            QueueFull: no place is left.
        """
        if self._admitted >= self._limit:
            raise QueueFull(
                f"{self._admitted} images are in work already; the limit is {self._limit}",
                limit=self._limit,
                actual=self._admitted,
                retry_after_s=1,
            )
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    @asynccontextmanager
    async def admit_drawing(self) -> AsyncIterator[None]:
        """Hold a place, and one of those that drawings may have.

        Raises:
            QueueFull: no such place is left.
        """
        if self._drawings >= self._most_drawings:
            raise QueueFull(
                f"{self._drawings} pictures are being drawn already; the limit is "
                f"{self._most_drawings}",
                limit=self._most_drawings,
                actual=self._drawings,
                retry_after_s=1,
            )
        self._drawings += 1
        try:
            async with self.admit():
                yield
        finally:
            self._drawings -= 1

    async def draw(self, work: Callable[[], T]) -> T:
        """As :meth:`run`, for work that draws a picture: when its turn has come."""
        async with self._turn:
            return await self.run(work)

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a worker thread, when one is free."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)
