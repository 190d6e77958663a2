"""One thread that owns the device: work goes in, results come out, and nobody waits for the dead.

Requests come before background work, and both before nothing: the loop is dumb on purpose.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from app.core.errors import DeadlineExceeded, DeviceLost, EncoderUnavailable, QueueFull

T = TypeVar("T")
WorkerState = Literal["running", "stalled", "dead", "stopped"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    future: Future[Any]
    deadline: float | None
    patient: bool
    bounded: bool


class DeviceWorker:
    """Runs jobs one at a time, in order, requests before background work.

    Args:
        queue_limit: requests that may wait; background and unbounded work is not counted.
        stall_s: a job running longer than this makes the worker ``stalled``. A job of several
            passes calls :meth:`beat` between them.
    """

    def __init__(self, *, queue_limit: int, stall_s: float) -> None:
        self._queue_limit = queue_limit
        self._stall_s = stall_s
        self._requests: deque[_Job] = deque()
        self._background: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._busy_since: float | None = None
        self._stopping = False
        self._dead = False
        self._reason: str | None = None
        self._thread = threading.Thread(target=self._loop, name="device-worker", daemon=True)

    def start(self) -> None:
        """Begin to run jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Run no further job, fail those that wait, and return at once."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._fail_waiting("the service is stopping")

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
        """Why it is dead."""
        return self._reason if self._dead else None

    def beat(self) -> None:
        """Say that the running job has come a step further."""
        self._busy_since = time.monotonic()

    def submit(
        self,
        work: Callable[[], T],
        *,
        deadline: float | None = None,
        background: bool = False,
        patient: bool = False,
        bounded: bool = True,
    ) -> Future[T]:
        """Queue ``work``; a future cancelled before it starts costs nothing.

        Args:
            work: called in the worker's thread. If it raises DeviceLost the worker ends, as every
                later call would fail in the same way.
            deadline: ``time.monotonic()`` after which it is dropped instead of started.
            background: run only when no request waits; never refused for a full queue.
            patient: however long it takes, it is not called stalled; for loading.
            bounded: False where the caller bounds what waits by itself; then never refused.

        Raises:
            QueueFull: too many requests wait.
            EncoderUnavailable: the worker is dead or stopped.
        """
        bounded = bounded and not background
        job = _Job(work, Future(), deadline, patient, bounded)
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
            (self._background if background else self._requests).append(job)
            self._wake.notify()
        return job.future

    def _loop(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._run(job)
        except BaseException as error:
            self._reason = _reason(error)
            log.critical("the device worker died", exc_info=True)
        finally:
            # Reached on stop, and if the loop itself breaks: then waiters must hear of it now.
            with self._wake:
                self._dead = not self._stopping
            self._fail_waiting(f"the encoder's worker died: {self._reason}")

    def _next(self) -> _Job | None:
        with self._wake:
            self._wake.wait_for(lambda: self._stopping or self._requests or self._background)
            if self._stopping:
                return None
            return (self._requests or self._background).popleft()

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
            if ends_worker(error):  # its job must not wait for ever
                job.future.set_exception(worker_died(error))
                raise
            job.future.set_exception(error)
        finally:
            self._busy_since = None

    def _why_not_running(self) -> str:
        told = "the encoder's worker is not running"
        return f"{told}: {self._reason}" if self._reason else told

    def _fail_waiting(self, reason: str) -> None:
        with self._wake:
            jobs = [*self._requests, *self._background]
            self._requests.clear()
            self._background.clear()
        for job in jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(EncoderUnavailable(reason))


def ends_worker(error: BaseException) -> bool:
    """Tell an error that no later job could escape from one that concerns its own job alone."""
    return isinstance(error, DeviceLost) or not isinstance(error, Exception)


def worker_died(error: BaseException) -> EncoderUnavailable:
    """Make what those are told who waited for a job that ended the worker."""
    return EncoderUnavailable(f"the encoder's worker died: {_reason(error)}")


def _reason(error: BaseException) -> str:
    return error.detail if isinstance(error, DeviceLost) else repr(error)
