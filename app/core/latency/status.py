"""Define the states of an encoder, of its profile and of a measurement, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.errors import CropPlannerError
from app.core.latency.profile import Profile

EncoderState = Literal["off", "loading", "ready", "failed"]
WorkerState = Literal["running", "stalled", "dead", "stopped"]
ProfileState = Literal["off", "waiting", "measuring", "complete", "partial", "failed"]
MeasurementStatus = Literal["running", "done", "failed", "cancelled"]
Phase = Literal["warm-up", "rounds"]


@dataclass(frozen=True, slots=True)
class MeasurementRequest:
    """Name the work of one measurement.

    Attributes:
        counts: total crops in rising order, the global crop included.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        repeats: timed passes of each count; None leaves the number to the device.
        full: time passes from the decoded image, too.
    """

    counts: tuple[int, ...]
    dtype: str
    repeats: int | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Tell the progress of a measurement: its share from 0 to 1, and its last pass."""

    done: float
    phase: Phase
    total_crops: int
    last_ms: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Tell the reason of a failed measurement.

    The exception itself is not stored, because its frames would hold the memory of an encoder.
    """

    slug: str
    detail: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Describe an error; the text of an unforeseen error stays in the log."""
        if isinstance(error, CropPlannerError):
            return cls(error.slug, error.detail)
        return cls("internal-error", "the measurement failed; the service's log says why")


@dataclass(frozen=True, slots=True)
class MeasurementState:
    """Describe a measurement at one moment. Times are ISO 8601 in UTC.

    ``profile`` grows with the measurement. It is None before the first timed passes.
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
        """Return the share from 0 to 1. Only a measurement with status ``done`` has 1."""
        if self.status == "done":
            return 1.0
        return min(self.last.done, 0.999) if self.last else 0.0

    @property
    def phase(self) -> Phase | None:
        """Return the phase of the last pass; None before the first pass."""
        return self.last.phase if self.last else None

    @property
    def total_crops(self) -> int | None:
        """Return the crops of the last pass, the global crop included."""
        return self.last.total_crops if self.last else None

    @property
    def last_ms(self) -> float | None:
        """Return the time of the last pass in ms; None in the warm-up."""
        return self.last.last_ms if self.last and self.last.phase == "rounds" else None


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """Describe the encoder of a service at one moment.

    Attributes:
        state: the state of the encoder.
        worker: the state of the thread that owns the device.
        reason: the cause of a failed load, of a dead worker, or of a fallback to float32.
        profile: the state of the device's own profile.
        profiled: measured counts of crops.
        to_profile: counts of crops of a complete profile.
        measurement: the running measurement.
    """

    state: EncoderState
    worker: WorkerState
    reason: str | None
    profile: ProfileState
    profiled: int
    to_profile: int
    measurement: MeasurementState | None


@dataclass(frozen=True, slots=True)
class Preparation:
    """Hold the times before the passes of a measured image, in ms.

    ``transfer_ms`` is the part of ``preprocess_ms`` for the copy over the bus. It is None on a
    device without a bus.
    """

    queue_ms: float
    preprocess_ms: float
    transfer_ms: float | None
