"""Where plans and tables are computed: at once if that is brief, else in one thread, in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from app.core.errors import QueueFull
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size

T = TypeVar("T")

BRIEF_CROPS = 12
"""Up to so many crops, work is a few ms at most; it grows faster than the crops do."""


def is_brief(config: CropConfig, aspect: Size | None = None) -> bool:
    """Return True if a plan of a size of this aspect, or a table for it, takes a few ms at most.

    Without a margin, a search for sizes of an aspect looks at nearly every size of some aspects.
    """
    return config.max_crops <= BRIEF_CROPS and (aspect is None or config.margin_px > 0)


class Planning:
    """Bounds the planning that strangers can ask for, and keeps it from holding others up.

    One thread: planning is pure Python, of which no two threads run at once.

    Args:
        queue_limit: calls of work that is not brief that may wait for the one at work.
    """

    def __init__(self, queue_limit: int) -> None:
        self._limit = 1 + queue_limit
        self._admitted = 0
        self._thread = anyio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T], *, brief: bool) -> T:
        """Call ``work``: here and now if it is brief, else in the thread when that is free.

        Raises:
            QueueFull: too many wait.
        """
        if brief:
            return work()
        if self._admitted >= self._limit:
            raise QueueFull(
                f"{self._admitted} large plans are in work already; the limit is {self._limit}",
                limit=self._limit,
                actual=self._admitted,
                retry_after_s=1,
            )
        self._admitted += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._thread)
        finally:
            self._admitted -= 1
