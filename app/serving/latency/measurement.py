"""One measurement of the profile: what was asked of it, how far it is, how it ended."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from app.core.errors import CropPlannerError
from app.core.latency.profile import Profile
from app.serving.device.protocol import MeasurementRequest

if TYPE_CHECKING:
    from app.encoder.measuring.measure import Progress

T = TypeVar("T")
MeasurementStatus = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a measurement failed. Not the exception: its frames would hold an encoder's memory."""

    slug: str
    detail: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        if isinstance(error, CropPlannerError):
            return cls(error.slug, error.detail)
        return cls("internal-error", "the measurement failed; the service's log says why")


@dataclass(frozen=True, slots=True)
class MeasurementState:
    """A measurement at one moment. Times are ISO 8601 in UTC.

    ``profile`` is what was measured so far, None before the first timed passes are shown.
    """

    id: str
    request: MeasurementRequest
    started_at: str
    ended_at: str | None = None
    status: MeasurementStatus = "running"
    last: Progress | None = None
    failure: Failure | None = None
    profile: Profile | None = None

    @property
    def progress(self) -> float:
        """From 0 to 1; 1 only when it is done."""
        if self.status == "done":
            return 1.0
        return min(self.last.done, 0.999) if self.last else 0.0

    @property
    def phase(self) -> str | None:
        """``warm-up`` or ``rounds``; None before the first pass."""
        return self.last.phase if self.last else None

    @property
    def total_crops(self) -> int | None:
        """The count that was run last."""
        return self.last.total_crops if self.last else None

    @property
    def last_ms(self) -> float | None:
        """The time of the last pass of a round; None in the warm-up."""
        return self.last.last_ms if self.last and self.last.phase == "rounds" else None


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
