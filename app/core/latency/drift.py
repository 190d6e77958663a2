"""How live measurements differ from what a profile predicted for the very same plans."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

KEPT = 15
"""Live measurements that are remembered, the last ones."""

MAX_AGE_S = 900.0
"""How long each is: a machine's clocks and neighbours change within minutes."""

FEWEST_TO_CORRECT = 3
"""Measurements before they correct anything: the median of fewer is moved by one outlier."""


@dataclass(frozen=True, slots=True)
class DriftNow:
    """Drift at one moment.

    Attributes:
        ratio: the median of measured over predicted p50; None where nothing was measured.
        measurements: how many it is of.
    """

    ratio: float | None = None
    measurements: int = 0

    @property
    def factor(self) -> float | None:
        """By what predictions are multiplied; None while the measurements are too few."""
        return self.ratio if self.measurements >= FEWEST_TO_CORRECT else None


@dataclass(frozen=True, slots=True)
class Drift:
    """The last live measurements against one profile, as (time in s, measured over predicted)."""

    seen: tuple[tuple[float, float], ...] = ()

    def noted(self, ratio: float, now_s: float) -> Drift:
        """With one more, and without those that no longer count."""
        return Drift((*self._recent(now_s), (now_s, ratio))[-KEPT:])

    def at(self, now_s: float) -> DriftNow:
        """What they come to now."""
        ratios = [ratio for _, ratio in self._recent(now_s)]
        return DriftNow(median(ratios), len(ratios)) if ratios else DriftNow()

    def _recent(self, now_s: float) -> tuple[tuple[float, float], ...]:
        return tuple(one for one in self.seen if now_s - one[0] <= MAX_AGE_S)
