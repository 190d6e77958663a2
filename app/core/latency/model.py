"""The latency model: what a profile says of any plan's vision-token latency, and of itself."""

from __future__ import annotations

from functools import cached_property

from app.core.latency.drift import DriftNow
from app.core.latency.latency import Basis, Latency
from app.core.latency.latency_curve import LatencyCurve, Neighbours
from app.core.latency.model_error import ModelError, count_error, repetition_error
from app.core.latency.profile import FEWEST_FOR_A_LINE, Profile
from app.core.latency.profile_entry import ProfileEntry
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan

NO_DRIFT = DriftNow()


class LatencyModel:
    """Predicts by one profile. Make it once for each: what a prediction needs is computed here.

    A number of crops that was measured is looked up. On a CPU, where latency over crops is nearly a
    line, one between measured ones is interpolated, if the profile has three or more to show that;
    on a GPU, where it is a staircase, it has no latency. Nothing is extrapolated.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.curve = LatencyCurve(profile.entries)

    @property
    def interpolates(self) -> bool:
        """Whether counts between measured ones are predicted."""
        enough = len(self.profile.entries) >= FEWEST_FOR_A_LINE
        return enough and self.profile.device_type == "cpu"

    @cached_property
    def error(self) -> ModelError | None:
        """Of what it interpolates, or else of what it looks up; None if not known."""
        entries = self.profile.entries
        return count_error(entries) if self.interpolates else repetition_error(entries)

    def latency(self, plan: CropPlan, drift: DriftNow = NO_DRIFT) -> Latency:
        """The plan's latency, times the drift where that corrects; or why there is none."""
        profile = self.profile
        if other := self._other_conditions(plan.config):
            return Latency("none", other)
        total_crops, tokens = plan.total_crops, plan.tokens.patch
        around = self.curve.neighbours(total_crops)
        if around is None or (around[0] is not around[1] and not self.interpolates):
            return Latency("none", self._why_none(total_crops))
        vision = self.curve.between(around, total_crops, tokens)
        if drift.factor is not None:
            vision = vision.times(drift.factor)
        return Latency(
            source="profile",
            reason="; ".join(self._reasons(around, plan, drift)),
            device=profile.device,
            dtype=profile.dtype,
            runtime=profile.runtime,
            weights=profile.weights,
            vision=vision,
            basis=_basis(around, tokens),
            drift=drift.factor,
        )

    def _other_conditions(self, config: CropConfig) -> str | None:
        """Why the profile says nothing about plans of a configuration; None where it does."""
        profile, family = self.profile, config.family
        if family.name != profile.model:
            return f"the profile is of {profile.model}, not {family.name}"
        if not config.is_native:
            return f"the profile is of {family.crop_size_px} px crops, not {config.crop_size_px}"
        return None

    def _why_none(self, total_crops: int) -> str:
        state = "was never measured" if self.profile.complete else "is not measured yet"
        told = f"a total of {total_crops} crops {state}"
        if self.profile.device_type == "cpu" or self.curve.neighbours(total_crops) is None:
            return told
        return f"{told}, and on a GPU latency between measured counts is a staircase"

    def _reasons(self, around: Neighbours, plan: CropPlan, drift: DriftNow) -> list[str]:
        profile, (lower, upper) = self.profile, around
        if lower is upper:
            reasons = [f"measured at {profile.measured_at} for {_shape(lower)}"]
            if more := plan.tokens.patch - lower.patch_tokens:
                reasons.append(self._tokens(more))
        else:
            reasons = [
                f"interpolated between {_shape(lower)} and {_shape(upper)}, "
                f"measured at {profile.measured_at}"
            ]
            if self.error:
                worst = (
                    f"at most {self.error.p50.max:.1%} at p50 and {self.error.p95.max:.1%} at p95"
                )
                reasons.append(f"measured counts that were left out were predicted to {worst}")
        if plan.config.overlap_margins != profile.overlap_margins:
            reasons.append(
                f"overlap margins other than its {profile.overlap_margins} change tokens"
            )
        if drift.factor is not None:
            by = f"the median of {drift.measurements} live measurements"
            reasons.append(f"times {drift.factor:.3f}, {by}")
        if profile.contended:
            reasons.append(f"in doubt: {profile.contended}")
        return reasons

    def _tokens(self, more: int) -> str:
        which = "more" if more > 0 else "fewer"
        each_us = self.curve.token_ms * 1e3
        return f"with {abs(more)} tokens {which} than there, {each_us:.3g} µs of the connector each"


def _basis(around: Neighbours, patch_tokens: int) -> Basis:
    lower, upper = around
    if lower is not upper:
        return "interpolated"
    return "measured" if lower.patch_tokens == patch_tokens else "adjusted"


def _shape(entry: ProfileEntry) -> str:
    grid = f"{entry.rows}x{entry.cols}" if entry.rows else "the global crop alone"
    return f"{entry.total_crops} crops in all ({grid})"
