"""Statistics of measured times: plain numbers in, plain numbers out.

No distribution is assumed: latencies are skewed, and their outliers are real. Every interval
assumes independent samples, so none of them knows about a machine that drifts.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from random import Random

CONFIDENCE = 0.95
"""How sure an interval is: it holds the true median in this share of measurements."""

FEWEST = 6
"""With fewer samples even their minimum and maximum enclose the median less often than that."""

RESAMPLES = 2000
"""Resamples of a bootstrap: more would move its limits by less than they are uncertain."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` (0 to 1) of the samples do not exceed, between the nearest two.

    Linear interpolation, numpy's default. ``ordered`` rises and is not empty.
    """
    position = share * (len(ordered) - 1)
    below, above = ordered[floor(position)], ordered[ceil(position)]
    part = position - floor(position)
    # From the nearer of the two, so that rounding cannot step over it.
    return below + (above - below) * part if part < 0.5 else above - (above - below) * (1 - part)


def median_absolute_deviation(samples: Sequence[float]) -> float:
    """The median distance from the median, not scaled: a spread that outliers do not move.

    Raises:
        ValueError: no samples.
    """
    middle = statistics.median(samples)
    return statistics.median(abs(sample - middle) for sample in samples)


def median_interval(
    samples: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Two of the samples that enclose the true median with at least this confidence.

    Each sample is below the median as often as above, whatever the distribution, so how many are
    is binomial (David and Nagaraja, Order Statistics, 7.1). Where the samples are too few for the
    confidence (below ``FEWEST`` for 95 %) these are their minimum and maximum, which enclose the
    median less often: in 75 % of cases for 3 samples, in none for one.

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
    """How many samples lie outside the interval at each end.

    That is the largest k with P(Binomial(samples, 1/2) <= k) <= (1 - confidence) / 2, or 0. In
    whole numbers, as ways to choose which samples are below the median: exact for any number.
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
    """Whether the last ``window`` samples have the median of the ``window`` before them.

    ``tolerance`` is a share of the earlier median. False while there are not two windows.
    """
    if len(samples) < 2 * window:
        return False
    before = statistics.median(samples[-2 * window : -window])
    return abs(statistics.median(samples[-window:]) - before) <= tolerance * before


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many times as long A takes as B, with the limits of its 95 % interval.

    ``samples`` is the number of rounds, or of the samples of the side that has fewer.
    """

    ratio: float
    low: float
    high: float
    samples: int

    @classmethod
    def paired(cls, a: Sequence[float], b: Sequence[float]) -> Comparison:
        """From times (> 0) of the same rounds, in the same order: the median of their ratios.

        What slows a whole round down cancels out.

        Raises:
            ValueError: not as many of one as of the other, none, or a time that is not above 0.
        """
        _check_times(a, b)
        ratios = [of_a / of_b for of_a, of_b in zip(a, b, strict=True)]
        low, high = median_interval(ratios)
        return cls(statistics.median(ratios), low, high, len(ratios))

    @classmethod
    def unpaired(cls, a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Comparison:
        """From times (> 0) that were measured apart: the ratio of the medians.

        The interval is a percentile bootstrap (Efron), the same for the same samples and seed.

        Raises:
            ValueError: none of one, or a time that is not above 0.
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
        """Whether a difference may be claimed: the interval excludes 1, and can be trusted to."""
        return self.samples >= FEWEST and not self.low <= 1 <= self.high

    def verdict(self, a: str = "A", b: str = "B") -> str:
        """The comparison as a sentence."""
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
    """Medians of ``RESAMPLES`` draws of as many samples with replacement.

    Only the middle one or two of a draw count, and where those lie is known: the k-th smallest of n
    uniform numbers is Beta(k, n + 1 - k), and the next one is the smallest of the n - k above it.
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
    """``slope * x + intercept``; ``r2`` is the share of the variance of y that it explains."""

    slope: float
    intercept: float
    r2: float


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The line of least squares. Where all ys are equal, ``r2`` is 1.

    Raises:
        ValueError: fewer than two points, all at one x, or not as many ys as xs.
    """
    slope, intercept = statistics.linear_regression(xs, ys)
    flat = min(ys) == max(ys)
    return Line(slope, intercept, 1.0 if flat else statistics.correlation(xs, ys) ** 2)
