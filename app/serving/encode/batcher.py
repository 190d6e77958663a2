"""The loop around :mod:`app.serving.encode.policy`: items gather while the device works.

Whatever waits, one job for it is queued in the :class:`DeviceWorker`. When its turn has come it
asks the policy, queues the next such job if something stays, and launches one pass. So measurements
and the profile take their turns between passes, and a worker that dies or stops fails that job,
which fails all that wait.

Where a pass is not done when its launch returns, it flies, and lands in a job of its own. The next
pass is launched beside it if enough waits, so that the device finds work when it is done.
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

from app.core.errors import DeadlineExceeded, EncoderUnavailable, QueueFull
from app.serving.device.protocol import Pending
from app.serving.device.worker import DeviceWorker, ends_worker, worker_died
from app.serving.encode.policy import Waiting, choose_batch, may_overlap

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

    Time behind another pass that is under way is waiting. ``pass_crops`` is the size of the pass,
    the item's own crops included.
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
        launch: begins one pass over some items, in the worker's thread; as many results, in the
            same order.
        limit_crops: most crops of a pass over several items; asked before each pass.
        queue_crops: most crops of all items that wait or run, as each holds memory. One item is
            always let in, whatever its size.
    """

    def __init__(
        self,
        worker: DeviceWorker,
        launch: Callable[[Sequence[Item]], Pending[Result]],
        *,
        limit_crops: Callable[[], int],
        queue_crops: int,
    ) -> None:
        self._worker = worker
        self._launch = launch
        self._limit_crops = limit_crops
        self._queue_crops = queue_crops
        self._lock = threading.Lock()
        self._entries: list[_Entry[Item, Result]] = []
        self._held_crops = 0
        self._parts_again: list[list[_Entry[Item, Result]]] = []
        self._job_is_queued = False
        self._limit_of_last = 0
        self._last_pass_s = 0.0
        self._landed_s = 0.0

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
        stopped, and with what its pass raises for this item alone.

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
            if not self._entries:
                return
            queued, self._job_is_queued = self._job_is_queued, True
        if queued:
            self._worker.look_again()
            return
        try:
            job = self._worker.submit(self._work, bounded=False, may_overlap=self._may_overlap)
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

    def _may_overlap(self) -> bool:
        with self._lock:
            crops = sum(entry.item.total_crops for entry in self._entries)
            return may_overlap(crops, self._limit_of_last)

    def _work(self) -> None:
        """One turn on the device."""
        batch = self._next_batch()
        self._queue_job()
        if batch:
            self._start(batch)

    def _next_batch(self) -> list[_Entry[Item, Result]]:
        with self._lock:
            self._job_is_queued = False
            entries, self._limit_of_last = self._entries, self._limit_crops()
            choice = choose_batch(
                [entry.waiting() for entry in entries], time.monotonic(), self._limit_of_last
            )
            self._entries = [entries[i] for i in choice.stay]
        for i in choice.expired:
            self._drop(entries[i], DeadlineExceeded("the deadline passed while waiting"))
        chosen = [entries[i] for i in choice.batch]
        return [entry for entry in chosen if entry.future.set_running_or_notify_cancel()]

    def _start(self, part: list[_Entry[Item, Result]]) -> None:
        """Launch a pass, which is over by then on a CPU and lands later on a GPU."""
        beside_another, launched_s = self._worker.flights > 0, time.monotonic()
        try:
            pending = self._launch([entry.item for entry in part])
            flies = not pending.is_done()
        except BaseException as error:
            self._failed(part, error, alone=not beside_another)
            if ends_worker(error):
                raise
            return
        land = partial(self._land, part, pending, launched_s)
        if flies:
            self._fail_with(self._worker.follow(pending.wait, land), part)
        else:
            land()

    def _land(
        self, part: list[_Entry[Item, Result]], pending: Pending[Result], launched_s: float
    ) -> None:
        """Hand out the results of a pass that is done."""
        began_s = max(launched_s, self._landed_s)  # the device was not free for it before
        try:
            answered = list(zip(part, pending.result(), strict=True))
        except BaseException as error:
            self._landed_s = time.monotonic()
            self._failed(part, error, alone=True)
            if ends_worker(error):
                raise
            return
        self._landed_s = time.monotonic()
        self._last_pass_s = self._landed_s - began_s
        crops = sum(entry.item.total_crops for entry in part)
        for entry, result in answered:
            queue_ms = (began_s - entry.arrived_s) * 1e3
            batched = Batched(result, queue_ms, self._last_pass_s * 1e3, crops)
            self._free(entry).set_result(batched)

    def _failed(
        self, part: list[_Entry[Item, Result]], error: BaseException, *, alone: bool
    ) -> None:
        """Run the halves of a failed pass by themselves, down to the item that is to blame.

        A pass that could not be launched beside another is first run again as it is, when it has
        the device to itself. Nothing is kept of the error but in the future of the item that is to
        blame: its frames would hold the failed pass's memory.
        """
        if ends_worker(error):
            self._fail(part, worker_died(error))
        elif not alone:
            self._again(part)
        elif len(part) == 1:
            self._fail(part, error)
        else:
            log.warning("a pass over %d items is halved, as it failed: %s", len(part), error)
            middle = len(part) // 2
            self._again(part[middle:])
            self._again(part[:middle])  # the older half is next

    def _again(self, part: list[_Entry[Item, Result]]) -> None:
        """Run a pass over a part before all that waits, the oldest first, and beside no other."""
        with self._lock:
            self._parts_again.append(part)
        try:
            job = self._worker.submit(self._start_again, bounded=False, first=True)
        except EncoderUnavailable as error:
            self._fail(part, error)
        else:
            self._fail_with(job, part)

    def _start_again(self) -> None:
        with self._lock:
            oldest = min(self._parts_again, key=lambda part: part[0].arrived_s)
            self._parts_again.remove(oldest)
        self._start(oldest)

    def _fail_with(self, job: Future[None], part: list[_Entry[Item, Result]]) -> None:
        """Fail a part with the job that was to give its results, as where the worker dies."""

        def fail(job: Future[None]) -> None:
            error = job.exception()
            if error is not None:
                self._fail(part, error)

        job.add_done_callback(fail)

    def _fail(self, part: list[_Entry[Item, Result]], error: BaseException) -> None:
        for entry in part:
            if not entry.future.done():
                self._free(entry).set_exception(error)
