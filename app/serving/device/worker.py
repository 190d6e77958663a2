"""Run all work on the device in one thread, requests before background work.

A job may end before the device has finished the launched pass. Such a *flight* is awaited in a
second thread and lands in the worker's thread. Most jobs, and all measurements, have the device to
themselves; only a job with ``may_overlap`` starts beside a flight.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from app.core.errors import DeadlineExceeded, DeviceLost, EncoderUnavailable, QueueFull
from app.core.latency.status import WorkerState

T = TypeVar("T")

STOPPING = "the service is stopping"
MOST_FLIGHTS = 2
"""The device works on one flight and finds the second one ready."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[], Any]
    future: Future[Any]
    deadline: float | None = None
    patient: bool = False
    bounded: bool = False
    may_overlap: Callable[[], bool] | None = None


class DeviceWorker:
    """Run jobs one at a time, requests before background work.

    Requests run in the order of arrival. Landed flights and jobs with ``first`` go before them.

    Args:
        queue_limit: the most waiting requests; background and unbounded work does not count.
        stall_s: a longer job or flight makes the worker ``stalled``. A job of several passes calls
            :meth:`beat` between two passes.
    """

    def __init__(self, *, queue_limit: int, stall_s: float) -> None:
        self._queue_limit = queue_limit
        self._stall_s = stall_s
        self._requests: deque[_Job] = deque()
        self._background: deque[_Job] = deque()
        self._flights: list[_Job] = []
        self._landed: deque[_Job] = deque()
        self._waits: SimpleQueue[tuple[Callable[[], None], _Job] | None] = SimpleQueue()
        self._wake = threading.Condition()
        self._busy_since: float | None = None
        self._stopping = False
        self._dead = False
        self._reason: str | None = None
        self._thread = threading.Thread(target=self._loop, name="device-worker", daemon=True)
        self._waiter = threading.Thread(target=self._wait_loop, name="device-waiter", daemon=True)

    def start(self) -> None:
        """Start to run jobs."""
        self._thread.start()
        self._waiter.start()

    def stop(self) -> None:
        """Run no further job, fail the waiting ones, and return at once; flights still land."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._fail_waiting(STOPPING)

    @property
    def state(self) -> WorkerState:
        if self._stopping:
            return "stopped"
        if self._dead:
            return "dead"
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > self._stall_s:
            return "stalled"
        return "running"

    @property
    def reason(self) -> str | None:
        """Tell the cause of a dead worker."""
        return self._reason if self._dead else None

    def beat(self) -> None:
        """Note a step forward of the running job."""
        self._busy_since = time.monotonic()

    @property
    def flights(self) -> int:
        """Count the launched passes before their landing."""
        return len(self._flights)

    def submit(
        self,
        work: Callable[[], T],
        *,
        deadline: float | None = None,
        background: bool = False,
        patient: bool = False,
        bounded: bool = True,
        first: bool = False,
        may_overlap: Callable[[], bool] | None = None,
    ) -> Future[T]:
        """Queue ``work``. A future cancelled before its start costs nothing.

        Args:
            work: called in the worker's thread. DeviceLost ends the worker: every later call would
                fail in the same way.
            deadline: ``time.monotonic()`` of the latest start; later, the work fails.
            background: run after all waiting requests; never refused for a full queue.
            patient: never counts as stalled; for loading.
            bounded: False for a caller with a queue limit of its own; never refused.
            first: run before all waiting work.
            may_overlap: returns at once, True to start beside a flight. The worker asks again after
                each :meth:`look_again`. None never starts beside a flight.

        Raises:
            QueueFull: too many requests wait.
            EncoderUnavailable: the worker is dead or stopped.
        """
        bounded = bounded and not background
        job = _Job(work, Future(), deadline, patient, bounded, may_overlap)
        with self._wake:
            if self._stopping or self._dead:
                raise EncoderUnavailable(self._why_not_running(), state=self.state)
            waiting = sum(job.bounded for job in self._requests)
            if bounded and waiting >= self._queue_limit:
                raise QueueFull(
                    f"{waiting} measurements wait already; the limit is {self._queue_limit}",
                    limit=self._queue_limit,
                    actual=waiting,
                    retry_after_s=5,
                )
            queue = self._background if background else self._requests
            queue.appendleft(job) if first else queue.append(job)
            self._wake.notify()
        return job.future

    def end(self, error: DeviceLost) -> EncoderUnavailable:
        """End the worker for another thread that lost the device; return the error to raise."""

        def die() -> None:
            raise error

        with suppress(EncoderUnavailable):  # the worker has ended already
            self.submit(die, bounded=False, first=True)
        return worker_died(error)

    def look_again(self) -> None:
        """Ask waiting work again about a start beside a flight."""
        with self._wake:
            self._wake.notify()

    def follow(self, wait: Callable[[], None], land: Callable[[], T]) -> Future[T]:
        """Let the running job end before the device has finished its pass.

        Args:
            wait: returns after the pass; called in a thread of its own. ``land`` must raise the
                errors of ``wait`` again.
            land: called afterwards in the worker's thread, before any other job.
        """
        job = _Job(land, Future())
        with self._wake:
            self._flights.append(job)
        self._waits.put((wait, job))
        return job.future

    def _wait_loop(self) -> None:
        while (flight := self._waits.get()) is not None:
            wait, job = flight
            with suppress(BaseException):
                wait()
            with self._wake:
                self._landed.append(job)
                self._wake.notify()
            del flight, wait, job  # these names hold the memory of a pass

    def _loop(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._run(job)
                del job  # the name may hold the memory of a pass
        except BaseException as error:
            self._reason = _reason(error)
            log.critical("the device worker died", exc_info=True)
        finally:
            # A stop and a broken loop both end here, and all waiters must hear of either.
            with self._wake:
                self._dead = not self._stopping
            self._waits.put(None)
            died = f"the encoder's worker died: {self._reason}"
            self._fail_waiting(died if self._dead else STOPPING, flights=True)

    def _next(self) -> _Job | None:
        with self._wake:
            while True:
                if self._landed:
                    job = self._landed.popleft()
                    self._flights.remove(job)
                    return job
                if self._stopping and not self._flights:
                    return None
                waiting = self._requests or self._background
                while waiting and waiting[0].future.cancelled():
                    waiting.popleft()  # otherwise it would hold up work behind it beside a flight
                if waiting and not self._stopping and self._may_start(waiting[0]):
                    return waiting.popleft()
                self._wake.wait()

    def _may_start(self, job: _Job) -> bool:
        if not self._flights:
            return True
        may_overlap = job.may_overlap
        return len(self._flights) < MOST_FLIGHTS and may_overlap is not None and may_overlap()

    def _run(self, job: _Job) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        if job.deadline is not None and time.monotonic() > job.deadline:
            job.future.set_exception(DeadlineExceeded("the deadline passed while waiting"))
            return
        if not job.patient:
            self.beat()
        try:
            job.future.set_result(job.work())
        except BaseException as error:
            if ends_worker(error):  # the job's waiter must not wait for ever
                job.future.set_exception(worker_died(error))
                raise
            job.future.set_exception(error)
        finally:
            self._busy_since = time.monotonic() if self._flights else None

    def _why_not_running(self) -> str:
        told = "the encoder's worker is not running"
        return f"{told}: {self._reason}" if self._reason else told

    def _fail_waiting(self, reason: str, *, flights: bool = False) -> None:
        with self._wake:
            jobs = [*self._requests, *self._background, *(self._flights if flights else ())]
            self._requests.clear()
            self._background.clear()
        for job in jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(EncoderUnavailable(reason))


def ends_worker(error: BaseException) -> bool:
    """Return True for an error of all later jobs, False for an error of its own job alone."""
    return isinstance(error, DeviceLost) or not isinstance(error, Exception)


def worker_died(error: BaseException) -> EncoderUnavailable:
    """Make the error for the waiters of an ended worker."""
    return EncoderUnavailable(f"the encoder's worker died: {_reason(error)}")


def _reason(error: BaseException) -> str:
    return error.detail if isinstance(error, DeviceLost) else repr(error)
