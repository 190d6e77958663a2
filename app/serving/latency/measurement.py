"""One measurement of the profile: what was asked of it, how far it is, how it ended."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.core.latency.profile import Profile
from app.core.latency.status import (
    Failure,
    MeasurementRequest,
    MeasurementState,
    MeasurementStatus,
    Progress,
)

T = TypeVar("T")


class Measurement:
    """Carried out by one thread; read, and cancelled, by any."""

    def __init__(self, request: MeasurementRequest) -> None:
        self._cancelled = threading.Event()
        self._queued: Future[Any] | None = None
        self._state = MeasurementState(secrets.token_hex(8), request, started_at=_now())

    @property
    def state(self) -> MeasurementState:
        """Where it is; a value that no longer changes."""
        return self._state

    @property
    def request(self) -> MeasurementRequest:
        return self._state.request

    @property
    def running(self) -> bool:
        return self._state.status == "running"

    def cancel(self) -> None:
        """Start no further pass, and none that still waits for the device. Again does no harm."""
        self._cancelled.set()
        queued = self._queued
        if queued is not None:
            queued.cancel()

    def is_cancelled(self) -> bool:
        """Whether it should stop."""
        return self._cancelled.is_set()

    def result_of(self, work: Future[T]) -> T:
        """The result of work on the device.

        Raises:
            concurrent.futures.CancelledError: the measurement was cancelled before the work began.
        """
        self._queued = work
        if self.is_cancelled():
            work.cancel()
        try:
            return work.result()
        finally:
            self._queued = None  # its result may be an encoder, which is not to be kept

    def tell(self, progress: Progress) -> None:
        """Note how far it is."""
        self._state = replace(self._state, last=progress)

    def grow(self, profile: Profile) -> None:
        """Show what was measured so far."""
        self._state = replace(self._state, profile=profile)

    @property
    def cut_short(self) -> bool:
        """Whether anything is missing because it was cancelled."""
        profile = self._state.profile
        return self.is_cancelled() and (profile is None or not profile.complete)

    def end(self, failure: Failure | None = None) -> None:
        """It is over: failed, cancelled, or done."""
        status: MeasurementStatus = "cancelled" if self.cut_short else "done"
        self._state = replace(
            self._state,
            status="failed" if failure else status,
            ended_at=_now(),
            failure=failure,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
