"""The loop around :mod:`app.serving.batching`: items gather while the device works.

Whatever waits, one job for it is queued in the :class:`DeviceWorker`. When its turn has come it
asks the policy, queues the next such job if something stays, and runs one pass. So measurements and
the profile take their turns between passes, and a worker that dies or stops fails that job, which
fails all that wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Generic, Protocol, TypeVar

from app.core.errors import DeadlineExceeded, DeviceLost, EncoderUnavailable, QueueFull
from app.serving.batching import Waiting, choose_batch
from app.serving.worker import DeviceWorker, worker_died

log = logging.getLogger(__name__)


class HasCrops(Protocol):
    """What the batcher must know of an item: its size."""

    @property
    def total_crops(self) -> int:
        """Crops it adds to a pass."""


Item = TypeVar("Item", bound=HasCrops)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Batched(Generic[Result]):
    """An item's result; ``queue_ms`` it waited for its pass, which took ``pass_ms`` for all in it.

    ``pass_crops`` is the size of that pass, the item's own crops included.
    """

    result: Result
    queue_ms: float
    pass_ms: float
    pass_crops: int


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[Item, Result]):
    item: Item
    arrived_s: float
    deadline_s: float | None
    future: Future[Batched[Result]]

    def waiting(self) -> Waiting:
        return Waiting(
            self.item.total_crops, self.arrived_s, self.deadline_s, self.future.cancelled()
        )


class Batcher(Generic[Item, Result]):
    """Gathers items and gives each its own result.

    Args:
        worker: owns the device.
        run: one pass over some items, in the worker's thread; as many results, in the same order.
        limit_crops: most crops of a pass over several items; asked before each pass.
        queue_crops: most crops of all items that wait or run, as each holds memory. One item is
            always let in, whatever its size.
    """

    def __init__(
        self,
        worker: DeviceWorker,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        limit_crops: Callable[[], int],
        queue_crops: int,
    ) -> None:
        self._worker = worker
        self._run = run
        self._limit_crops = limit_crops
        self._queue_crops = queue_crops
        self._lock = threading.Lock()
        self._entries: list[_Entry[Item, Result]] = []
        self._held_crops = 0
        self._job_is_queued = False
        self._last_pass_s = 0.0

    @property
    def waiting(self) -> int:
        """Items that wait for the device."""
        return len(self._entries)

    def check_room(self, crops: int) -> None:
        """Raise QueueFull if an item of so many crops would not be let in now."""
        if self._held_crops and self._held_crops + crops > self._queue_crops:
            raise QueueFull(
                f"{self._held_crops} crops wait or run already and {crops} more are asked for; "
                f"the limit is {self._queue_crops}",
                limit=self._queue_crops,
                actual=self._held_crops + crops,
                retry_after_s=max(1, ceil(self._last_pass_s)),
            )

    def submit(self, item: Item, *, deadline_s: float | None = None) -> Future[Batched[Result]]:
        """Queue an item; if its future is cancelled before its pass begins, it costs nothing.

        The future fails with ``DeadlineExceeded`` where ``time.monotonic()`` reached
        ``deadline_s`` before its pass, with ``EncoderUnavailable`` where the worker died or
        stopped, and with what ``run`` raises for this item alone.

        Raises:
            QueueFull: its crops have no room.
        """
        entry: _Entry[Item, Result] = _Entry(item, time.monotonic(), deadline_s, Future())
        with self._lock:
            self.check_room(item.total_crops)
            self._held_crops += item.total_crops
            self._entries.append(entry)
        # Not with the entry itself, which the future would then keep alive with its crops.
        entry.future.add_done_callback(partial(self._forget_cancelled, item.total_crops))
        self._queue_job()
        return entry.future

    def _forget_cancelled(self, crops: int, done: Future[Batched[Result]]) -> None:
        if done.cancelled():
            with self._lock:
                self._held_crops -= crops
                self._entries = [entry for entry in self._entries if entry.future is not done]

    def _free(self, entry: _Entry[Item, Result]) -> Future[Batched[Result]]:
        """Give a running entry's room back, before anyone hears that it is done."""
        with self._lock:
            self._held_crops -= entry.item.total_crops
        return entry.future

    def _drop(self, entry: _Entry[Item, Result], error: Exception) -> None:
        """Fail an entry that has not begun to run."""
        if entry.future.set_running_or_notify_cancel():
            self._free(entry).set_exception(error)

    def _queue_job(self) -> None:
        with self._lock:
            if self._job_is_queued or not self._entries:
                return
            self._job_is_queued = True
        try:
            job = self._worker.submit(self._work, bounded=False)
        except EncoderUnavailable as error:
            self._fail_waiting(error)
        else:
            job.add_done_callback(self._job_done)

    def _job_done(self, job: Future[None]) -> None:
        error = job.exception()
        if isinstance(error, Exception):
            self._fail_waiting(error)

    def _fail_waiting(self, error: Exception) -> None:
        with self._lock:
            self._job_is_queued = False
            entries, self._entries = self._entries, []
        for entry in entries:
            self._drop(entry, error)

    def _work(self) -> None:
        """One turn on the device."""
        batch = self._next_batch()
        self._queue_job()
        try:
            self._run_in_parts(batch)
        except BaseException as error:  # the worker ends with it, and nobody may wait for ever
            for entry in batch:
                if not entry.future.done():
                    self._free(entry).set_exception(worker_died(error))
            raise

    def _next_batch(self) -> list[_Entry[Item, Result]]:
        with self._lock:
            self._job_is_queued = False
            entries = self._entries
            choice = choose_batch(
                [entry.waiting() for entry in entries], time.monotonic(), self._limit_crops()
            )
            self._entries = [entries[i] for i in choice.stay]
        for i in choice.expired:
            self._drop(entries[i], DeadlineExceeded("the deadline passed while waiting"))
        chosen = [entries[i] for i in choice.batch]
        return [entry for entry in chosen if entry.future.set_running_or_notify_cancel()]

    def _run_in_parts(self, batch: list[_Entry[Item, Result]]) -> None:
        """One pass; where it fails, its halves by themselves, down to the item that is to blame."""
        parts = [batch] if batch else []
        while parts:
            part = parts.pop()
            if not self._try(part) and len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]  # the older half is next

    def _try(self, part: list[_Entry[Item, Result]]) -> bool:
        """Whether the pass succeeded. A failed pass over one item is that item's failure."""
        crops = sum(entry.item.total_crops for entry in part)
        self._worker.beat()
        started = time.monotonic()
        try:
            results = self._run([entry.item for entry in part])
            answered = list(zip(part, results, strict=True))
        except DeviceLost:
            raise  # no smaller pass would fare better
        except Exception as error:
            # Nothing is kept of the error but here: its frames would hold the failed pass's memory.
            if len(part) == 1:
                self._free(part[0]).set_exception(error)
            else:
                log.warning("a pass over %d items is halved, as it failed: %s", len(part), error)
            return False
        self._last_pass_s = time.monotonic() - started
        for entry, result in answered:
            queue_ms = (started - entry.arrived_s) * 1e3
            batched = Batched(result, queue_ms, self._last_pass_s * 1e3, crops)
            self._free(entry).set_result(batched)
        return True
