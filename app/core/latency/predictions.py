"""Predict latencies from the state of one moment: model, drift and provenance."""

from dataclasses import dataclass, replace
from datetime import datetime

from app.core.latency.latency import DriftNow, Latency
from app.core.latency.model import NO_DRIFT, LatencyModel, ModelError
from app.core.latency.profile import Profile
from app.core.plan.plan import CropPlan


@dataclass(frozen=True, slots=True)
class ProfileInUse:
    """Describe a profile and the grounds to trust it at one moment.

    ``age_s`` counts from the measurement. ``error`` is the model's own error. ``drift`` and
    ``this_device`` are those of :class:`Predictions`.
    """

    profile: Profile
    age_s: float
    error: ModelError | None
    drift: DriftNow
    this_device: bool | None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predict the latency of any plan. Two answers of one value never contradict each other.

    Attributes:
        model: the model of the profile in use, or None.
        missing: the reason for None.
        drift: the drift of this device against the profile.
        this_device: True if the profile has the device, dtype and runtime of the encoder loaded
            here; None without a loaded encoder.
        provenance: a remark on the profile's origin for every answer; "" is none.
    """

    model: LatencyModel | None
    missing: str
    drift: DriftNow = NO_DRIFT
    this_device: bool | None = None
    provenance: str = ""

    @property
    def profile(self) -> Profile | None:
        """Return the profile in use."""
        return self.model.profile if self.model else None

    def latency(self, plan: CropPlan) -> Latency:
        """Predict the latency of a plan, or tell the reason for its absence."""
        if self.model is None:
            return Latency("none", self.missing)
        latency = self.model.latency(plan, self.drift)
        reason = "; ".join(filter(None, (latency.reason, self.provenance)))
        return replace(latency, reason=reason, this_device=self.this_device)

    def in_use(self, now: datetime) -> ProfileInUse | None:
        """Return the profile in use with the grounds to trust it; ``now`` has a time zone."""
        if self.model is None:
            return None
        profile = self.model.profile
        return ProfileInUse(
            profile, profile.age_s(now), self.model.error, self.drift, self.this_device
        )
