"""Compute the drift: live latencies over the predictions of a profile for the same plans."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

MOST_RATIOS = 15
"""Drift remembers this number of ratios, the last ones."""

MAX_AGE_S = 900.0
"""Drift forgets older ratios: a machine's clocks and neighbours change within minutes."""

FEWEST_TO_CORRECT = 3
"""Drift corrects predictions from this number on: one outlier moves the median of fewer."""


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
