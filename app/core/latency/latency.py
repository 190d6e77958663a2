"""Describe the vision-token latency of a plan, its source and doubts, and the drift of a device.

Drift is the ratio of live latencies to the predictions of a profile for the same plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from app.core.latency.timings import samples_needed
from app.core.statistics import quantile

LatencySource = Literal["profile", "measured", "none"]
Basis = Literal["measured", "adjusted", "interpolated"]
"""``measured``: this number of crops and tokens was timed. ``adjusted``: this number of crops was
timed, with other tokens. ``interpolated``: two numbers of crops around it were timed."""

MOST_RATIOS = 15
"""Drift remembers this number of ratios, the last ones."""

MAX_AGE_S = 900.0
"""Drift forgets older ratios: a machine's clocks and neighbours change within minutes."""

FEWEST_TO_CORRECT = 3
"""Drift corrects predictions from this number on: one outlier moves the median of fewer."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Describe the distribution of a time in ms by the samples of one count, or of two around it.

    Attributes:
        lower, upper: rising samples, not empty; one and the same for a timed count.
        part: the place between the two, from 0 (``lower``) to 1.
        shift_ms: added to every percentile.
        factor: multiplies the shifted percentiles.
    """

    lower: Sequence[float]
    upper: Sequence[float]
    part: float = 0.0
    shift_ms: float = 0.0
    factor: float = 1.0

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Distribution:
        """Make the distribution of one count's samples, in any order."""
        ordered = tuple(sorted(samples_ms))
        return cls(ordered, ordered)

    @property
    def samples(self) -> int:
        """Return the number of samples; of two counts, the smaller number."""
        return min(len(self.lower), len(self.upper))

    def at(self, percentile: float) -> float | None:
        """Return a percentile in ms; None with too few samples.

        Raises:
            ValueError: the percentile is below 0, or 100 or more.
        """
        enough = self.samples >= samples_needed(percentile)
        return self._at(percentile / 100) if enough else None

    @property
    def p50(self) -> float:
        return self._at(0.50)

    @property
    def p95(self) -> float:
        return self._at(0.95)

    def _at(self, share: float) -> float:
        low = quantile(self.lower, share)
        if self.lower is not self.upper:
            low += (quantile(self.upper, share) - low) * self.part
        return (low + self.shift_ms) * self.factor


@dataclass(frozen=True, slots=True)
class VisionLatency:
    """Hold the ms from crops on the device to vision tokens ready, and the medians of the parts."""

    vision_ms: Distribution
    vit_ms: float
    connector_ms: float

    def times(self, factor: float) -> VisionLatency:
        """Multiply the whole and its parts."""
        whole = replace(self.vision_ms, factor=self.vision_ms.factor * factor)
        return VisionLatency(whole, self.vit_ms * factor, self.connector_ms * factor)


@dataclass(frozen=True, slots=True)
class Latency:
    """Answer a question about latency.

    Attributes:
        reason: the origin of the latency and the doubts about it, or the reason for its absence.
        basis: the distance from timed counts; None without a latency.
        this_device: True if device, dtype and runtime are those of the encoder loaded here; None
            without a loaded encoder.
        drift: the factor from live latencies contained in ``vision``; None without correction.
    """

    source: LatencySource
    reason: str
    device: str | None = None
    dtype: str | None = None
    runtime: str | None = None
    weights: str | None = None
    vision: VisionLatency | None = None
    basis: Basis | None = None
    this_device: bool | None = None
    drift: float | None = None

    def at(self, percentile: float) -> float | None:
        """Return a percentile in ms, drift included; :meth:`why_not` explains None.

        Raises:
            ValueError: the percentile is below 0, or 100 or more.
        """
        return None if self.vision is None else self.vision.vision_ms.at(percentile)

    def why_not(self, percentile: float) -> str | None:
        """Explain the absence of a percentile; None if :meth:`at` returns it."""
        if self.vision is None:
            return self.reason
        found, needed = self.vision.vision_ms.samples, samples_needed(percentile)
        if found >= needed:
            return None
        return f"p{percentile:g} needs {needed} samples of each count, and there are {found}"

    def per_token_us(self, patch_tokens: int) -> float | None:
        """Return the median latency per vision token (patch token), in µs."""
        return None if self.vision is None else self.vision.vision_ms.p50 * 1e3 / patch_tokens


@dataclass(frozen=True, slots=True)
class DriftNow:
    """Describe the drift at one moment.

    Attributes:
        ratio: the median of live over predicted p50; None without live latencies.
        measurements: the number of ratios.
    """

    ratio: float | None = None
    measurements: int = 0

    @property
    def factor(self) -> float | None:
        """Return the factor for predictions; None with too few ratios."""
        return self.ratio if self.measurements >= FEWEST_TO_CORRECT else None


@dataclass(frozen=True, slots=True)
class Drift:
    """Remember the last ratios to one profile: pairs of time in s and live over predicted p50."""

    seen: tuple[tuple[float, float], ...] = ()

    def noted(self, ratio: float, now_s: float) -> Drift:
        """Add a ratio and forget the old ones."""
        return Drift((*self._recent(now_s), (now_s, ratio))[-MOST_RATIOS:])

    def at(self, now_s: float) -> DriftNow:
        """Compute the drift at a time."""
        ratios = [ratio for _, ratio in self._recent(now_s)]
        return DriftNow(median(ratios), len(ratios)) if ratios else DriftNow()

    def _recent(self, now_s: float) -> tuple[tuple[float, float], ...]:
        return tuple(one for one in self.seen if now_s - one[0] <= MAX_AGE_S)
