"""What latencies are predicted from at one moment, as one value that does not change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from app.core.latency.drift import DriftNow
from app.core.latency.latency import Latency
from app.core.latency.model import NO_DRIFT, LatencyModel
from app.core.latency.model_error import ModelError
from app.core.latency.profile import Profile
from app.core.plan.plan import CropPlan


@dataclass(frozen=True, slots=True)
class ProfileInUse:
    """A profile and how far it can be trusted at one moment.

    ``age_s`` is since its measurement, ``error`` what its model says of itself. ``drift`` and
    ``this_device`` are as :class:`Predictions` has them.
    """

    profile: Profile
    age_s: float
    error: ModelError | None
    drift: DriftNow
    this_device: bool | None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predicts the latency of any plan; two answers of one of these never contradict each other.

    Attributes:
        model: of the profile in use; None: there is none.
        missing: why there is none.
        drift: of this device against that profile.
        this_device: whether the profile is of the device, dtype and runtime of the encoder that is
            loaded here; None where none is.
        provenance: what every answer says of where the profile is from; "": nothing.
        revision: rises with every change of the others.
    """

    model: LatencyModel | None
    missing: str
    drift: DriftNow = NO_DRIFT
    this_device: bool | None = None
    provenance: str = ""
    revision: int = field(default=0, compare=False)

    @property
    def profile(self) -> Profile | None:
        """The profile in use."""
        return self.model.profile if self.model else None

    def latency(self, plan: CropPlan) -> Latency:
        """The plan's latency by the profile in use, at once; or why there is none."""
        if self.model is None:
            return Latency("none", self.missing)
        latency = self.model.latency(plan, self.drift)
        reason = "; ".join(filter(None, (latency.reason, self.provenance)))
        return replace(latency, reason=reason, this_device=self.this_device)

    def in_use(self, now: datetime) -> ProfileInUse | None:
        """The profile in use and how far it can be trusted; ``now`` has a time zone."""
        if self.model is None:
            return None
        profile = self.model.profile
        return ProfileInUse(
            profile, profile.age_s(now), self.model.error, self.drift, self.this_device
        )


def predict(profile: Profile | None, plan: CropPlan, missing: str) -> Latency:
    """One latency by one profile, with nothing known of where it is used."""
    return Predictions(LatencyModel(profile) if profile else None, missing).latency(plan)
