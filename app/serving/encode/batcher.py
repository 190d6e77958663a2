"""Gather images at the device, and run them in passes by :mod:`app.serving.encode.policy`.

Waiting images have one job in the queue of the :class:`DeviceWorker`. In its turn the job asks the
policy, queues the next job for the remaining images, and launches one pass. Measurements therefore
take turns with passes. A dead or stopped worker fails the job, and so all waiting images.

A pass on a GPU goes on after its launch: it *flies*, and lands in a later job. The next pass is
launched beside the flight as soon as enough images wait; the device then always finds work.
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
from typing import TYPE_CHECKING

from app.core.errors import DeadlineExceeded, EncoderUnavailable, QueueFull
from app.serving.device.worker import DeviceWorker, ends_worker, worker_died
from app.serving.encode.policy import Waiting, choose_batch, may_overlap

if TYPE_CHECKING:
    from app.encoder.encoder import Staged, VisionTokens
    from app.encoder.launching import Launched

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batched:
    """Hold an image's tokens, with the times of its wait and of its pass.

    Attributes:
        queue_ms: the wait for the pass, also behind another pass on the device.
        pass_ms: the time of the pass over all of its images.
        pass_crops: the crops of the pass, the image's own included.
    """

    result: VisionTokens
    queue_ms: float
    pass_ms: float
    pass_crops: int


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    image: Staged
    arrived_s: float
    deadline_s: float | None
    future: Future[Batched]

    def waiting(self) -> Waiting:
        return Waiting(
            self.image.total_crops, self.arrived_s, self.deadline_s, self.future.cancelled()
        )


class Batcher:
    """Gather images and give each its own tokens.

    Args:
        worker: the owner of the device.
        launch: starts one pass over some images, in the worker's thread; the results have the same
            order.
        limit_crops: returns the most crops of a pass over several images; asked before each pass.
        queue_crops: the most crops of all waiting and running images. An image of any size enters
            an empty batcher.
    """

    def __init__(
        self,
        worker: DeviceWorker,
        launch: Callable[[Sequence[Staged]], Launched],
        *,
        limit_crops: Callable[[], int],
        queue_crops: int,
    ) -> None:
        self._worker = worker
        self._launch = launch
        self._limit_crops = limit_crops
        self._queue_crops = queue_crops
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []
        self._held_crops = 0
        self._parts_again: list[list[_Entry]] = []
        self._job_is_queued = False
        self._limit_of_last = 0
        self._last_pass_s = 0.0
        self._landed_s = 0.0

    @property
    def waiting(self) -> int:
        """Count the images waiting for the device."""
        return len(self._entries)

    def check_room(self, crops: int) -> None:
        """Raise QueueFull if an image of this size would be refused now."""
        if self._held_crops and self._held_crops + crops > self._queue_crops:
            raise QueueFull(
                f"{self._held_crops} crops wait or run already and {crops} more are asked for; "
                f"the limit is {self._queue_crops}",
                limit=self._queue_crops,
                actual=self._held_crops + crops,
                retry_after_s=max(1, ceil(self._last_pass_s)),
            )

    def submit(self, image: Staged, *, deadline_s: float | None = None) -> Future[Batched]:
        """Queue an image. A future cancelled before its pass costs nothing.

        The future fails with ``DeadlineExceeded`` after ``deadline_s`` by ``time.monotonic()``,
        with ``EncoderUnavailable`` for a dead or stopped worker, and with the errors of a pass over
        this image alone.

        Raises:
            QueueFull: the image's crops have no room.
        """
        entry = _Entry(image, time.monotonic(), deadline_s, Future())
        with self._lock:
            self.check_room(image.total_crops)
            self._held_crops += image.total_crops
            self._entries.append(entry)
        # The callback gets the number alone: the entry would keep the crops alive with the future.
        entry.future.add_done_callback(partial(self._forget_cancelled, image.total_crops))
        self._queue_job()
        return entry.future

    def _forget_cancelled(self, crops: int, done: Future[Batched]) -> None:
        if done.cancelled():
            with self._lock:
                self._held_crops -= crops
                self._entries = [entry for entry in self._entries if entry.future is not done]

    def _free(self, entry: _Entry) -> Future[Batched]:
        """Give an entry's room back, before its result is known."""
        with self._lock:
            self._held_crops -= entry.image.total_crops
        return entry.future

    def _fail(self, entries: Sequence[_Entry], error: BaseException) -> None:
        """Fail the entries that still wait or run."""
        for entry in entries:
            future = entry.future
            if future.running() or (not future.done() and future.set_running_or_notify_cancel()):
                self._free(entry).set_exception(error)

    def _queue_job(self) -> None:
        with self._lock:
            if not self._entries:
                return
            queued, self._job_is_queued = self._job_is_queued, True
        if queued:
            self._worker.look_again()
            return
        submit = partial(self._worker.submit, self._work, bounded=False)
        self._follow(partial(submit, may_overlap=self._may_overlap), self._fail_waiting)

    def _follow(
        self, submit: Callable[[], Future[None]], fail: Callable[[BaseException], None]
    ) -> None:
        """Submit a job, and call ``fail`` with the error of a refused or failed job."""

        def ended(job: Future[None]) -> None:
            error = job.exception()
            if error is not None:
                fail(error)

        try:
            job = submit()
        except EncoderUnavailable as error:
            fail(error)
        else:
            job.add_done_callback(ended)

    def _fail_waiting(self, error: BaseException) -> None:
        with self._lock:
            self._job_is_queued = False
            entries, self._entries = self._entries, []
        self._fail(entries, error)

    def _may_overlap(self) -> bool:
        with self._lock:
            crops = sum(entry.image.total_crops for entry in self._entries)
            return may_overlap(crops, self._limit_of_last)

    def _work(self) -> None:
        """Take one turn on the device."""
        batch = self._next_batch()
        self._queue_job()
        if batch:
            self._start(batch)

    def _next_batch(self) -> list[_Entry]:
        with self._lock:
            self._job_is_queued = False
            entries, self._limit_of_last = self._entries, self._limit_crops()
            choice = choose_batch(
                [entry.waiting() for entry in entries], time.monotonic(), self._limit_of_last
            )
            self._entries = [entries[i] for i in choice.stay]
        for i in choice.expired:  # each with an error of its own
            self._fail([entries[i]], DeadlineExceeded("the deadline passed while waiting"))
        chosen = [entries[i] for i in choice.batch]
        return [entry for entry in chosen if entry.future.set_running_or_notify_cancel()]

    def _start(self, part: list[_Entry]) -> None:
        """Launch a pass. On a CPU the pass ends in the launch, on a GPU it lands later."""
        beside_another, launched_s = self._worker.flights > 0, time.monotonic()
        try:
            launched = self._launch([entry.image for entry in part])
            flies = not launched.is_done()
        except BaseException as error:
            self._failed(part, error, alone=not beside_another)
            if ends_worker(error):
                raise
            return
        land = partial(self._land, part, launched, launched_s)
        if flies:
            flying = partial(self._worker.follow, launched.wait, land)
            self._follow(flying, partial(self._fail, part))
        else:
            land()

    def _land(self, part: list[_Entry], launched: Launched, launched_s: float) -> None:
        """Hand out the results of a finished pass."""
        began_s = max(launched_s, self._landed_s)  # the device was busy before
        try:
            answered = list(zip(part, launched.result(), strict=True))
        except BaseException as error:
            self._landed_s = time.monotonic()
            self._failed(part, error, alone=True)
            if ends_worker(error):
                raise
            return
        self._landed_s = time.monotonic()
        self._last_pass_s = self._landed_s - began_s
        crops = sum(entry.image.total_crops for entry in part)
        for entry, result in answered:
            queue_ms = (began_s - entry.arrived_s) * 1e3
            batched = Batched(result, queue_ms, self._last_pass_s * 1e3, crops)
            self._free(entry).set_result(batched)

    def _failed(self, part: list[_Entry], error: BaseException, *, alone: bool) -> None:
        """Run the halves of a failed pass by themselves, down to the bad image.

        A pass that failed beside another is first run again by itself, as a whole. Only the bad
        image's future stores the error: its frames would hold the memory of the failed pass.
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

    def _again(self, part: list[_Entry]) -> None:
        """Run a pass over a part before all waiting work, the oldest part first, and by itself."""
        with self._lock:
            self._parts_again.append(part)
        submit = partial(self._worker.submit, self._start_again, bounded=False, first=True)
        self._follow(submit, partial(self._fail, part))

    def _start_again(self) -> None:
        with self._lock:
            oldest = min(self._parts_again, key=lambda part: part[0].arrived_s)
            self._parts_again.remove(oldest)
        self._start(oldest)
