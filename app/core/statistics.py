"""Compute statistics of measured times, and shuffle the order of measuring.

No function assumes a distribution: latencies are skewed and their outliers are real. Every interval
assumes independent samples and knows nothing of a drifting machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from random import Random
from typing import TypeVar

K = TypeVar("K")

CONFIDENCE = 0.95
"""An interval encloses the true median in this share of measurements."""

FEWEST = 6
"""The range of fewer samples encloses the median with less than this confidence."""

RESAMPLES = 2000
"""A bootstrap draws this number of resamples; its limits would hardly move with more."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """Interpolate a quantile linearly between the two nearest samples, as numpy does by default.

    Args:
        ordered: rising samples, at least one.
        share: the quantile, from 0 to 1.
    """
    position = share * (len(ordered) - 1)
    below, above = ordered[floor(position)], ordered[ceil(position)]
    part = position - floor(position)
    # From the nearer of the two, so that rounding cannot step over it.
    return below + (above - below) * part if part < 0.5 else above - (above - below) * (1 - part)


def median_absolute_deviation(samples: Sequence[float]) -> float:
    """Return the median distance from the median, not scaled.

    Raises:
        ValueError: no samples.
    """
    middle = statistics.median(samples)
    return statistics.median(abs(sample - middle) for sample in samples)


def median_interval(
    samples: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Choose two samples around the true median with at least this confidence.

    Each sample lies below the median with probability 1/2 under any distribution. The number of
    samples below is therefore binomial (David and Nagaraja, Order Statistics, 7.1). Too few samples
    for the confidence (below ``FEWEST`` for 95 %) give their minimum and maximum. This range
    encloses the median less often: in 75 % of cases for 3 samples, never for one.

    Raises:
        ValueError: no samples.
    """
    if not samples:
        raise ValueError("an interval needs at least one sample")
    ordered = sorted(samples)
    rank = _interval_rank(len(ordered), confidence)
    return ordered[rank], ordered[-1 - rank]


@lru_cache(maxsize=256)
def _interval_rank(samples: int, confidence: float) -> int:
    """Count the samples outside the interval at each end.

    The count is the largest k with P(Binomial(samples, 1/2) <= k) <= (1 - confidence) / 2, or 0.
    The arithmetic is in whole numbers and exact for any number of samples.
    """
    allowed = floor((1 - Fraction(confidence)) * 2 ** (samples - 1))
    rank, ways, total = 0, 1, 1
    while True:
        ways = ways * (samples - rank) // (rank + 1)
        total += ways
        if total > allowed:
            return rank
        rank += 1


def settled(samples: Sequence[float], window: int = 5, tolerance: float = 0.02) -> bool:
    """Return True if the last two windows of samples have nearly the same median.

    Args:
        window: the number of samples in a window. Fewer than two windows give False.
        tolerance: the largest difference, as a share of the earlier median.
    """
    if len(samples) < 2 * window:
        return False
    before = statistics.median(samples[-2 * window : -window])
    return abs(statistics.median(samples[-window:]) - before) <= tolerance * before


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compare the time of A with the time of B.

    Attributes:
        ratio: the time of A over the time of B.
        low, high: the limits of the 95 % interval of the ratio.
        samples: the number of rounds, or of samples on the side with fewer.
    """

    ratio: float
    low: float
    high: float
    samples: int

    @classmethod
    def paired(cls, a: Sequence[float], b: Sequence[float]) -> Comparison:
        """Compare times of the same rounds by the median of their ratios.

        A disturbance of a whole round cancels out.

        Raises:
            ValueError: different numbers of times, no times, or a time not above 0.
        """
        _check_times(a, b)
        ratios = [of_a / of_b for of_a, of_b in zip(a, b, strict=True)]
        low, high = median_interval(ratios)
        return cls(statistics.median(ratios), low, high, len(ratios))

    @classmethod
    def unpaired(cls, a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Comparison:
        """Compare times of separate measurements by the ratio of their medians.

        The interval is a percentile bootstrap (Efron). Equal samples and seeds give equal limits.

        Raises:
            ValueError: no times on one side, or a time not above 0.
        """
        _check_times(a, b)
        random = Random(seed)
        pairs = zip(_resampled_medians(a, random), _resampled_medians(b, random), strict=True)
        ratios = sorted(of_a / of_b for of_a, of_b in pairs)
        outside = (1 - CONFIDENCE) / 2
        low, high = quantile(ratios, outside), quantile(ratios, 1 - outside)
        ratio = statistics.median(a) / statistics.median(b)
        return cls(ratio, low, high, min(len(a), len(b)))

    @property
    def differs(self) -> bool:
        """Return True if the interval excludes 1 and has enough samples."""
        return self.samples >= FEWEST and not self.low <= 1 <= self.high

    def verdict(self, a: str = "A", b: str = "B") -> str:
        """Write the comparison as a sentence."""
        if self.samples < FEWEST:
            return f"{self.samples} samples are too few to compare {a} and {b}; {FEWEST} are needed"
        interval = f"{self.low:.3f} to {self.high:.3f}"
        if not self.differs:
            return f"no difference shown between {a} and {b}: {self.ratio:.3f}x ({interval})"
        return f"{a} takes {self.ratio:.3f}x ({interval}) as long as {b}"


def _check_times(a: Sequence[float], b: Sequence[float]) -> None:
    if not (a and b and min(*a, *b) > 0):
        raise ValueError("a comparison needs times above 0 on both sides")


def _resampled_medians(samples: Sequence[float], random: Random) -> list[float]:
    """Draw the medians of ``RESAMPLES`` resamples of the same size.

    A median needs only the middle one or two values of a resample. The k-th smallest of n uniform
    numbers is distributed as Beta(k, n + 1 - k). The next is the smallest of the n - k above.
    """
    ordered, count = sorted(samples), len(samples)
    middle = (count + 1) // 2
    medians = []
    for _ in range(RESAMPLES):
        lower = upper = random.betavariate(middle, count + 1 - middle)
        if count % 2 == 0:
            upper = 1 - (1 - lower) * random.random() ** (1 / (count - middle))
        places = (min(floor(count * share), count - 1) for share in (lower, upper))
        medians.append(sum(ordered[place] for place in places) / 2)
    return medians


@dataclass(frozen=True, slots=True)
class Line:
    """Describe y as ``slope * x + intercept``; ``r2`` is the explained share of its variance."""

    slope: float
    intercept: float
    r2: float


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """Fit a line by least squares. Equal ys give an ``r2`` of 1.

    Raises:
        ValueError: fewer than two points, all at one x, or different numbers of xs and ys.
    """
    slope, intercept = statistics.linear_regression(xs, ys)
    flat = min(ys) == max(ys)
    return Line(slope, intercept, 1.0 if flat else statistics.correlation(xs, ys) ** 2)


def shuffled_rounds(keys: Sequence[K], rounds: int, seed: int = 0) -> Iterator[list[K]]:
    """Yield all keys once a round, each round in an order of its own.

    The order keeps the drift of a machine from looking like a trend of one key.
    """
    shuffle = Random(seed)
    for _ in range(rounds):
        order = list(keys)
        shuffle.shuffle(order)
        yield order
