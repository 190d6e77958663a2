"""Predict the vision-token latency of any plan from a profile, and estimate the error.

Latency depends on the crops run by the ViT and on the retained tokens. A profile has one grid of
each number of crops. Another grid of this number, or other overlap margins, runs the same ViT and
gives another number of tokens; each token costs the connector about the same. The latency of a plan
is therefore the latency of its number of crops, plus the connector's time for the further tokens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Literal

from app.core.latency.latency import Basis, Distribution, DriftNow, Latency, VisionLatency
from app.core.latency.profile import FEWEST_FOR_A_LINE, Profile, ProfileEntry
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan
from app.core.statistics import FEWEST, fit_line, quantile

NO_DRIFT = DriftNow()

Neighbours = tuple[ProfileEntry, ProfileEntry]
"""Two entries enclose a number of crops; a measured number has its own entry twice."""

ErrorMethod = Literal["leave-one-count-out", "half-against-half"]


class LatencyModel:
    """Predict latencies from one profile.

    A measured number of crops is looked up. Latency over crops is nearly a line on a CPU, so an
    unmeasured number is interpolated from three or more counts. On a GPU latency is a staircase, so
    an unmeasured number has none. Nothing is extrapolated.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.curve = LatencyCurve(profile.entries)

    @property
    def interpolates(self) -> bool:
        """Return True if the model predicts counts between measured ones."""
        enough = len(self.profile.entries) >= FEWEST_FOR_A_LINE
        return enough and self.profile.device_type == "cpu"

    @cached_property
    def error(self) -> ModelError | None:
        """Estimate the error of interpolating, or else of looking up; None if unknown."""
        entries = self.profile.entries
        return count_error(entries) if self.interpolates else repetition_error(entries)

    def latency(self, plan: CropPlan, drift: DriftNow = NO_DRIFT) -> Latency:
        """Predict the latency of a plan with drift, or tell the reason for its absence."""
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
        """Explain why the profile does not fit; None if the profile fits."""
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
                f"overlap margins other than the profile's {profile.overlap_margins} change tokens"
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


class LatencyCurve:
    """Interpolate latency over crops and tokens between measured entries.

    Args:
        entries: by rising ``total_crops``.
    """

    def __init__(self, entries: Sequence[ProfileEntry]) -> None:
        self._entries = tuple(entries)
        self._counts = [entry.total_crops for entry in entries]
        self._samples = {e.total_crops: tuple(sorted(e.samples_ms.vision)) for e in entries}
        self.token_ms = connector_token_ms(entries)

    def neighbours(self, total_crops: int) -> Neighbours | None:
        """Find the entries around a count; None outside the measured range."""
        place = bisect_left(self._counts, total_crops)
        if place == len(self._counts):
            return None
        upper = self._entries[place]
        if upper.total_crops == total_crops:
            return upper, upper
        return (self._entries[place - 1], upper) if place else None

    def between(self, neighbours: Neighbours, total_crops: int, patch_tokens: int) -> VisionLatency:
        """Interpolate the latency between two entries of this curve.

        Every percentile of the whole lies on the line between the same percentiles of the two.
        """
        lower, upper = neighbours
        span = upper.total_crops - lower.total_crops
        part = (total_crops - lower.total_crops) / span if span else 0.0
        connector_ms = _on_line(lower.connector_ms.p50, upper.connector_ms.p50, part)
        tokens = _on_line(lower.patch_tokens, upper.patch_tokens, part)
        # No stage takes less than 0, even with very few tokens.
        shift_ms = max(self.token_ms * (patch_tokens - tokens), -connector_ms)
        return VisionLatency(
            Distribution(
                self._samples[lower.total_crops], self._samples[upper.total_crops], part, shift_ms
            ),
            vit_ms=_on_line(lower.vit_ms.p50, upper.vit_ms.p50, part),
            connector_ms=connector_ms + shift_ms,
        )


def connector_token_ms(entries: Sequence[ProfileEntry]) -> float:
    """Return the connector's ms for each further token: the slope of its medians, at least 0.

    Entries of equal tokens have no slope; the result is then the median over these tokens. Without
    entries the result is 0.
    """
    tokens = [entry.patch_tokens for entry in entries]
    medians = [entry.connector_ms.p50 for entry in entries]
    if len(set(tokens)) > 1:
        return max(0.0, fit_line(tokens, medians).slope)
    return median(medians) / tokens[0] if entries else 0.0


def _on_line(lower: float, upper: float, part: float) -> float:
    return lower + (upper - lower) * part


@dataclass(frozen=True, slots=True)
class ErrorSpread:
    """Summarise relative errors without their signs: 0.05 is 5 % too much or too little."""

    median: float
    max: float


@dataclass(frozen=True, slots=True)
class ModelError:
    """Describe the errors of predicted percentiles.

    Attributes:
        method: ``leave-one-count-out`` predicts each inner count from all others.
            ``half-against-half`` predicts one half of a count's passes from the other half, for
            models without interpolation.
        p50, p95: the errors of these percentiles.
        counts: the number of predicted counts.
    """

    method: ErrorMethod
    p50: ErrorSpread
    p95: ErrorSpread
    counts: int


def count_error(entries: Sequence[ProfileEntry]) -> ModelError | None:
    """Predict every inner count from all others; None below three counts."""
    errors = []
    for place, left_out in enumerate(entries[1:-1], 1):
        others = LatencyCurve([*entries[:place], *entries[place + 1 :]])
        around = (entries[place - 1], entries[place + 1])
        tokens = left_out.patch_tokens
        found = others.between(around, left_out.total_crops, tokens).vision_ms
        measured = left_out.vision_ms
        errors.append((found.p50 / measured.p50 - 1, found.p95 / measured.p95 - 1))
    return _error("leave-one-count-out", errors)


def repetition_error(entries: Sequence[ProfileEntry]) -> ModelError | None:
    """Predict half of each count's passes from the other half; None with fewer than six passes.

    The halves take every other pass and so see the same moments of the machine. Later changes of
    the machine appear in the drift and not in this error.
    """
    errors = []
    for entry in entries:
        passes = entry.samples_ms.vision
        if len(passes) >= FEWEST:
            one, other = sorted(passes[::2]), sorted(passes[1::2])
            p50, p95 = (quantile(one, share) / quantile(other, share) - 1 for share in (0.5, 0.95))
            errors.append((p50, p95))
    return _error("half-against-half", errors)


def _error(method: ErrorMethod, errors: Sequence[tuple[float, float]]) -> ModelError | None:
    if not errors:
        return None
    p50, p95 = zip(*errors, strict=True)
    return ModelError(method, _spread(p50), _spread(p95), len(errors))


def _spread(errors: Iterable[float]) -> ErrorSpread:
    sizes = [abs(error) for error in errors]
    return ErrorSpread(median(sizes), max(sizes))
