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
    """

    def __init__(self, *, workers: int, queue_limit: int) -> None:
        self._limit = workers + queue_limit
        self._admitted = 0
        self._threads = anyio.CapacityLimiter(workers)

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

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a worker thread, when one is free."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)
