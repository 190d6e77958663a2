"""Run measurements of the profile one at a time, and remember the last few."""

import secrets
import threading
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.core.errors import MeasurementRunning, UnknownMeasurement
from app.core.latency.profile import Profile
from app.core.latency.status import (
    Failure,
    MeasurementRequest,
    MeasurementState,
    MeasurementStatus,
    Progress,
)

T = TypeVar("T")

REMEMBERED = 8
"""Clients can ask for this number of measurements, the running one included."""


class Measurement:
    """Follow one measurement. One thread carries it out; any thread reads or cancels it.

    ``state`` is a value that never changes: each step forward puts a new value in its place.
    """

    def __init__(self, request: MeasurementRequest) -> None:
        self._cancelled = threading.Event()
        self._queued: Future[Any] | None = None
        self.state = MeasurementState(secrets.token_hex(8), request, started_at=_now())

    def cancel(self) -> None:
        """Start no further pass, and drop a waiting one. A second call does no harm."""
        self._cancelled.set()
        queued = self._queued
        if queued is not None:
            queued.cancel()

    def is_cancelled(self) -> bool:
        """Return True after :meth:`cancel`."""
        return self._cancelled.is_set()

    def result_of(self, work: Future[T]) -> T:
        """Wait for the result of work on the device.

        Raises:
            concurrent.futures.CancelledError: the measurement was cancelled before the work began.
        """
        self._queued = work
        if self.is_cancelled():
            work.cancel()
        try:
            return work.result()
        finally:
            self._queued = None  # the result may be an encoder, with all of its memory

    def tell(self, progress: Progress) -> None:
        """Note the progress."""
        self.state = replace(self.state, last=progress)

    def grow(self, profile: Profile) -> None:
        """Show the profile so far."""
        self.state = replace(self.state, profile=profile)

    @property
    def cut_short(self) -> bool:
        """Return True if cancelling left a part of the work undone."""
        profile = self.state.profile
        return self.is_cancelled() and (profile is None or not profile.complete)

    def end(self, failure: Failure | None = None) -> None:
        """End the measurement as failed, cancelled or done."""
        status: MeasurementStatus = "cancelled" if self.cut_short else "done"
        self.state = replace(
            self.state,
            status="failed" if failure else status,
            ended_at=_now(),
            failure=failure,
        )


class Measurements:
    """Remember the last measurements by id, the oldest first, for calls from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_id: dict[str, Measurement] = {}

    @property
    def running(self) -> MeasurementState | None:
        """Return the running measurement; there is at most one."""
        with self._lock:
            states = [measurement.state for measurement in self._by_id.values()]
        return next((state for state in states if state.status == "running"), None)

    def add(self, request: MeasurementRequest) -> Measurement:
        """Add a measurement, running from now on, and forget the oldest beyond ``REMEMBERED``.

        Raises:
            MeasurementRunning: another measurement runs; the error has its ``id``.
        """
        with self._lock:
            other = self.running
            if other is not None:
                raise MeasurementRunning(
                    f"measurement {other.id} is running; wait for it, or cancel it", id=other.id
                )
            while len(self._by_id) >= REMEMBERED:
                del self._by_id[next(iter(self._by_id))]
            measurement = Measurement(request)
            self._by_id[measurement.state.id] = measurement
        return measurement

    def state(self, measurement_id: str) -> MeasurementState:
        """Return the state of a remembered measurement.

        Raises:
            UnknownMeasurement: no remembered measurement has this id.
        """
        return self._find(measurement_id).state

    def cancel(self, measurement_id: str) -> MeasurementState:
        """Stop a measurement before its next pass; its state retains the measured counts.

        Raises:
            UnknownMeasurement: no remembered measurement has this id.
        """
        measurement = self._find(measurement_id)
        measurement.cancel()
        return measurement.state

    def _find(self, measurement_id: str) -> Measurement:
        found = self._by_id.get(measurement_id)
        if found is None:
            raise UnknownMeasurement(
                f"there is no measurement {measurement_id}, or no longer", actual=measurement_id
            )
        return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
