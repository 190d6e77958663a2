"""What is known of a plan's vision-token latency, and why it is not more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.core.latency.timings import samples_needed
from app.core.statistics import quantile

LatencySource = Literal["profile", "measured", "none"]
Basis = Literal["measured", "adjusted", "interpolated"]
"""How near a figure is to what was timed: just this number of crops and tokens; this number of
crops, with the connector's time for other tokens; or between two numbers of crops."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Percentiles of a time in ms, known by one count's samples or by those of two around it.

    Attributes:
        lower, upper: rising samples, not empty; the same ones where this very count was timed.
        part: how far between the two, from 0 (``lower``) to 1.
        shift_ms: what is added to every percentile.
        factor: by what that is multiplied.
    """

    lower: Sequence[float]
    upper: Sequence[float]
    part: float = 0.0
    shift_ms: float = 0.0
    factor: float = 1.0

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Distribution:
        """Of the samples of one count, in any order."""
        ordered = tuple(sorted(samples_ms))
        return cls(ordered, ordered)

    @property
    def samples(self) -> int:
        """How many there are; of two counts, of the one that has fewer."""
        return min(len(self.lower), len(self.upper))

    def at(self, percentile: float) -> float | None:
        """A percentile in ms; None where the samples are too few for it.

        Raises:
            ValueError: not from 0 to below 100.
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
    """ms from crops on the device to vision tokens ready, and its parts at the median."""

    vision_ms: Distribution
    vit_ms: float
    connector_ms: float

    def times(self, factor: float) -> VisionLatency:
        """All of it so many times as long."""
        whole = replace(self.vision_ms, factor=self.vision_ms.factor * factor)
        return VisionLatency(whole, self.vit_ms * factor, self.connector_ms * factor)


@dataclass(frozen=True, slots=True)
class Latency:
    """An answer about latency.

    Attributes:
        reason: where it comes from and why it should be doubted, or why there is none.
        basis: how near it is to what was timed; None where there is no latency.
        this_device: whether it is of the device, dtype and runtime of the encoder that is loaded
            here; None where there is none to compare with.
        drift: the factor by live measurements that ``vision`` already has in it; None: none has.
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
        """A percentile in ms, drift included; where it is None :meth:`why_not` says why.

        Raises:
            ValueError: not from 0 to below 100.
        """
        return None if self.vision is None else self.vision.vision_ms.at(percentile)

    def why_not(self, percentile: float) -> str | None:
        """Why :meth:`at` gives no such percentile; None where it does."""
        if self.vision is None:
            return self.reason
        found, needed = self.vision.vision_ms.samples, samples_needed(percentile)
        if found >= needed:
            return None
        return f"p{percentile:g} needs {needed} samples of each count, and there are {found}"

    def per_token_us(self, patch_tokens: int) -> float | None:
        """Median latency per vision token (patch token), in µs."""
        return None if self.vision is None else self.vision.vision_ms.p50 * 1e3 / patch_tokens
