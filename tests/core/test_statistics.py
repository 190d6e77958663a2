"""Statistics: numpy's where it has them, and intervals that hold what they claim."""

from __future__ import annotations

import statistics
from math import comb
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.core.statistics import (
    FEWEST,
    Comparison,
    _resampled_medians,
    fit_line,
    median_absolute_deviation,
    median_interval,
    quantile,
    settled,
)

times = st.lists(st.floats(min_value=0.01, max_value=1e6), min_size=1, max_size=60)
shares = st.floats(min_value=0, max_value=1)


def skewed(random: Random) -> float:
    """A latency with a long tail, of median 1."""
    return random.lognormvariate(0, 0.5)


@given(times, shares)
def test_quantiles_are_those_of_numpy(samples: list[float], share: float) -> None:
    """Linear interpolation between the two nearest samples."""
    expected = float(np.quantile(samples, share))
    assert quantile(sorted(samples), share) == pytest.approx(expected, rel=1e-9)


@given(times, st.lists(shares, min_size=2))
def test_quantiles_rise_within_the_samples(samples: list[float], several: list[float]) -> None:
    """A larger share never has a smaller value, and none is outside what was measured."""
    ordered = sorted(samples)
    values = [quantile(ordered, share) for share in sorted([0.0, *several, 1.0])]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (ordered[0], ordered[-1])


@given(times)
def test_the_deviation_is_the_median_distance_from_the_median(samples: list[float]) -> None:
    """As numpy computes it."""
    expected = np.median(np.abs(np.array(samples) - np.median(samples)))
    assert median_absolute_deviation(samples) == pytest.approx(float(expected), rel=1e-9)


@given(times, st.floats(min_value=0.5, max_value=0.999))
def test_intervals_are_as_narrow_as_the_confidence_allows(
    samples: list[float], confidence: float
) -> None:
    """Two samples of equal rank from both ends; one rank further in would not be enough."""
    assume(len(set(samples)) == len(samples))
    low, high = median_interval(samples, confidence)
    ordered, n = sorted(samples), len(samples)
    rank = ordered.index(low)
    assert ordered[-1 - rank] == high
    assert low <= statistics.median(samples) <= high

    def covered(outside: int) -> float:
        return 1 - 2 * sum(comb(n, below) for below in range(outside + 1)) / 2**n

    assert covered(rank) >= confidence or rank == 0
    assert covered(rank + 1) < confidence or rank + 1 > (n - 1) // 2


@pytest.mark.parametrize("count", range(1, FEWEST))
def test_too_few_samples_give_their_range(count: int) -> None:
    """Below the number at which 95 % can be reached, and that number is not too large."""
    samples = [float(number) for number in range(count)]
    assert median_interval(samples) == (0, count - 1)
    assert 1 - 2 / 2**count < 0.95 <= 1 - 2 / 2**FEWEST
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])


@pytest.mark.parametrize("count", [6, 7, 20, 51, 200])
def test_intervals_hold_the_true_median(count: int) -> None:
    """In at least 95 of 100 measurements of skewed times, less three standard errors."""
    random, runs = Random(count), 1000
    held = 0
    for _ in range(runs):
        low, high = median_interval([skewed(random) for _ in range(count)])
        held += low <= 1 <= high
    assert held / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


@pytest.mark.parametrize("count", [7, 40])
def test_unpaired_comparisons_hold_the_true_ratio(count: int) -> None:
    """In 95 of 100 again, less three standard errors: of many samples and of few."""
    random, runs = Random(count), 150
    held = 0
    for seed in range(runs):
        a = [1.3 * skewed(random) for _ in range(count)]
        b = [skewed(random) for _ in range(count)]
        compared = Comparison.unpaired(a, b, seed=seed)
        held += compared.low <= 1.3 <= compared.high
    assert held / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


@pytest.mark.parametrize("count", [1, 2, 7, 10])
def test_resampled_medians_are_those_of_real_resamples(count: int) -> None:
    """The shortcut draws from the distribution of what it stands for."""
    random = Random(1)
    samples = [skewed(random) for _ in range(count)]
    short = sorted(_resampled_medians(samples, random))
    long = sorted(statistics.median(random.choices(samples, k=count)) for _ in range(len(short)))
    # The largest distance of two distributions (Kolmogorov and Smirnov), at one in a million.
    limit = (7.25 / len(short)) ** 0.5
    for value in {*short, *long}:
        shares = [sum(one <= value for one in medians) / len(short) for medians in (short, long)]
        assert abs(shares[0] - shares[1]) < limit


@given(times, st.floats(min_value=0.1, max_value=10), st.randoms())
def test_a_paired_comparison_sees_through_drift(
    b: list[float], factor: float, random: Random
) -> None:
    """However slow a round was, the ratio within it stays."""
    compared = Comparison.paired([time * factor for time in b], b)
    found = (compared.ratio, compared.low, compared.high)
    assert found == pytest.approx((factor,) * 3)
    assert compared.samples == len(b)


@settings(max_examples=30)  # each is three bootstraps
@given(times, times)
def test_an_unpaired_comparison_is_the_ratio_of_medians(a: list[float], b: list[float]) -> None:
    """Within its interval, the same each time, and turned over with its sides."""
    compared = Comparison.unpaired(a, b)
    assert compared == Comparison.unpaired(a, b)
    assert compared.low <= compared.ratio * (1 + 1e-9)
    assert compared.ratio <= compared.high * (1 + 1e-9)
    assert Comparison.unpaired(b, a).ratio == pytest.approx(1 / compared.ratio)


def test_a_difference_is_claimed_only_when_it_is_shown() -> None:
    """The interval excludes 1, and rests on enough samples to be one."""
    slow, fast = [2.0, 2.1, 2.2] * 3, [1.0, 1.1, 1.2] * 3
    shown = Comparison.unpaired(slow, fast)
    assert shown.differs
    assert shown.verdict("packed", "eager").startswith("packed takes 1.909x (")
    same = Comparison.unpaired(slow, slow)
    assert not same.differs
    assert same.verdict().startswith("no difference shown between A and B: 1.000x (")
    few = Comparison.paired(slow[: FEWEST - 1], fast[: FEWEST - 1])
    assert few.low > 1
    assert not few.differs
    assert few.verdict() == "5 samples are too few to compare A and B; 6 are needed"


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([1.0], []), ([0.0], [1.0]), ([1.0], [0.0])])
def test_what_cannot_be_compared_is_refused(a: list[float], b: list[float]) -> None:
    """Nothing, or times of 0; and rounds that one side did not run."""
    for compare in (Comparison.paired, Comparison.unpaired):
        with pytest.raises(ValueError, match="above 0"):
            compare(a, b)
    with pytest.raises(ValueError, match="shorter"):
        Comparison.paired([1.0, 1.0], [1.0])


points = st.lists(st.tuples(st.integers(1, 13), st.floats(1, 1e4)), min_size=2, max_size=20)


@given(points)
def test_lines_are_those_of_numpy(drawn: list[tuple[int, float]]) -> None:
    """Slope and intercept of least squares, and the share of the variance it explains."""
    xs, ys = [float(x) for x, _ in drawn], [y for _, y in drawn]
    assume(len(set(xs)) > 1)
    line = fit_line(xs, ys)
    slope, intercept = np.polyfit(xs, ys, 1)
    scale = max(ys)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept), abs=1e-6 * scale)
    assume(max(ys) - min(ys) > 1e-3 * scale)
    residual = np.sum((np.array(ys) - slope * np.array(xs) - intercept) ** 2)
    total = np.sum((np.array(ys) - np.mean(ys)) ** 2)
    assert line.r2 == pytest.approx(1 - residual / total, abs=1e-6)


def test_a_flat_line_is_explained() -> None:
    """It misses no point; and a single x has no line."""
    assert fit_line([1, 2, 3], [5, 5, 5]).r2 == 1
    with pytest.raises(ValueError, match="constant"):
        fit_line([2, 2], [1, 3])


@given(st.floats(min_value=1, max_value=1e4), st.floats(min_value=0, max_value=0.1))
def test_settled_means_that_two_windows_agree(level: float, step: float) -> None:
    """By their medians, so that one slow call is no reason to go on."""
    assume(abs(step - 0.02) > 1e-6)
    before, after = [level] * 5, [level * (1 + step)] * 4 + [level * 100]
    assert settled(before + after) == (step < 0.02)
    assert settled([level * 50, *before, *after]) == (step < 0.02)
    assert not settled((before + after)[1:])
