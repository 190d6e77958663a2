"""The prefill: a line that is found again, and no line where there is none."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.errors import InvalidConfig, NoPrefillLine
from app.core.latency.prefill import FEWEST_LENGTHS, PrefillCost, PrefillFit, PrefillPoint
from app.core.statistics import FEWEST

LENGTHS = (256, 512, 1024, 1536, 2048)

slopes = st.floats(min_value=1e-4, max_value=50)
bases = st.floats(min_value=0.1, max_value=1e4)
lengths = st.lists(st.integers(1, 10_000), min_size=FEWEST_LENGTHS, max_size=8, unique=True).filter(
    lambda drawn: max(drawn) - min(drawn) > 10
)


def rounds_of(times, tokens=LENGTHS, rounds=FEWEST):
    """As many rounds of ``times(tokens, round)``."""
    return [[PrefillPoint(one, times(one, number)) for one in tokens] for number in range(rounds)]


@given(slopes, st.floats(min_value=-1e4, max_value=1e4), st.lists(st.integers(0, 10**6)))
def test_more_tokens_never_cost_less(slope, base, tokens):
    """And no prompt less than nothing, however low the base."""
    cost = PrefillCost(slope, base)
    times = [cost.ms(one) for one in sorted(tokens)]
    assert all(0 <= a <= b for a, b in pairwise([0.0, *times]))


@given(slopes, bases, st.integers(0, 10**6))
def test_a_cost_is_a_line(slope, base, tokens):
    """The base, and the slope for every token; the base is nothing where it is not given."""
    assert PrefillCost(slope, base).ms(tokens) == pytest.approx(base + slope * tokens)
    assert PrefillCost(slope).ms(tokens) == pytest.approx(slope * tokens)


@pytest.mark.parametrize(
    ("slope", "base", "parameter"),
    [
        (-0.001, 0.0, "prefill_ms_per_token"),
        (math.nan, 0.0, "prefill_ms_per_token"),
        (math.inf, 0.0, "prefill_ms_per_token"),
        (1.0, math.nan, "prefill_base_ms"),
        (1.0, -math.inf, "prefill_base_ms"),
    ],
)
def test_a_cost_that_is_none_is_refused_by_name(slope, base, parameter):
    """So that whoever gave it knows which number to change."""
    with pytest.raises(InvalidConfig) as refused:
        PrefillCost(slope, base)
    assert refused.value.facts["parameter"] == parameter


@given(slopes, bases, lengths, st.integers(1, 9))
def test_an_exact_line_is_found_again(slope, base, tokens, rounds):
    """With nothing left unexplained, and no doubt; intervals only of enough rounds."""
    fit = PrefillFit.of(rounds_of(lambda one, _: base + slope * one, tokens, rounds))
    scale = base + slope * max(tokens)
    assert fit.cost.ms_per_token == pytest.approx(slope, rel=1e-6, abs=1e-9 * scale)
    assert fit.cost.base_ms == pytest.approx(base, abs=1e-6 * scale)
    assert fit.leave_one_out < 1e-3
    assert fit.doubt is None
    assert [length.tokens for length in fit.lengths] == sorted(tokens)
    assert all(abs(length.off) < 1e-3 for length in fit.lengths)
    if rounds < FEWEST:
        assert fit.ms_per_token_interval is fit.base_ms_interval is None
    else:
        assert fit.ms_per_token_interval == pytest.approx(
            (slope, slope), rel=1e-5, abs=1e-9 * scale
        )


@given(st.lists(st.floats(0.5, 2), min_size=9, max_size=9), st.integers(0, 4), st.floats(2, 100))
def test_single_slow_prompts_move_nothing(drift, slow, factor):
    """A minority of the rounds may have an outlier anywhere; medians do not see it."""
    exact = PrefillFit.of(rounds_of(lambda one, _: 10 + 0.1 * one, rounds=9))
    spoiled = PrefillFit.of(
        rounds_of(lambda one, number: (10 + 0.1 * one) * (factor if number < slow else 1), rounds=9)
    )
    assert spoiled.cost == exact.cost
    drifting = PrefillFit.of(
        rounds_of(lambda one, number: drift[number] * (10 + 0.1 * one), rounds=9)
    )
    low, high = drifting.ms_per_token_interval
    assert low <= drifting.cost.ms_per_token <= high
    assert 0.1 * min(drift) <= low * (1 + 1e-9)
    assert high <= 0.1 * max(drift) * (1 + 1e-9)


def test_intervals_hold_what_they_claim():
    """In 95 % of measurements the true slope is inside, though the noise is skewed and shared."""
    random, runs, held = Random(5), 300, 0
    for _ in range(runs):
        slow = [random.lognormvariate(0, 0.2) for _ in range(9)]
        noisy = rounds_of(
            lambda one, number, slow=slow: (
                slow[number] * (20 + 0.1 * one) * random.lognormvariate(0, 0.05)
            ),
            rounds=9,
        )
        low, high = PrefillFit.of(noisy).ms_per_token_interval
        held += low <= 0.1 <= high
    assert held / runs >= 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


@given(lengths, bases, st.floats(min_value=0, max_value=1))
def test_times_that_do_not_rise_are_no_line(tokens, base, fall):
    """A staircase's one step and times that fall are refused, with the numbers."""
    with pytest.raises(NoPrefillLine, match="do not rise") as refused:
        PrefillFit.of(rounds_of(lambda one, _: base + fall * (max(tokens) - one), tokens))
    assert refused.value.facts["ms_per_token"] <= 1e-9 * base


def test_a_slope_that_noise_could_make_is_no_line():
    """Where the interval holds 0, and the message says so."""
    random = Random(1)
    noise = rounds_of(lambda one, _: 50 + random.random() + 1e-5 * one, rounds=9)
    with pytest.raises(NoPrefillLine, match=r"95 % -.* noise hides the slope"):
        PrefillFit.of(noise)


@pytest.mark.parametrize("tokens", [(), (5,), (5, 900), (5, 5, 900)])
def test_too_few_lengths_are_no_line(tokens):
    """Two points always make one; the message has the lengths that there were."""
    with pytest.raises(NoPrefillLine, match=f"{FEWEST_LENGTHS} lengths") as refused:
        PrefillFit.of(rounds_of(lambda one, _: 1.0 + one, tokens))
    assert refused.value.facts == {"limit": FEWEST_LENGTHS, "actual": len(set(tokens))}


def test_a_staircase_is_doubted_as_one():
    """Its times are off the line again and again, and not by chance."""
    random = Random(2)
    steps = rounds_of(lambda one, _: 100 * math.ceil(one / 1200) + random.random(), rounds=9)
    fit = PrefillFit.of(steps)
    assert "steps or a bend" in fit.doubt
    assert "cannot tell" in PrefillFit.of(steps[: FEWEST - 1]).doubt


def test_noise_is_doubted_as_noise():
    """Its times are off the line no farther than they vary."""
    random = Random(3)
    noisy = rounds_of(lambda one, _: (20 + 0.1 * one) * random.lognormvariate(0, 0.7), rounds=9)
    assert "noise" in PrefillFit.of(noisy).doubt


@pytest.mark.parametrize(("beside", "told"), [(0, "noise"), (1, "noise"), (2, "steps or a bend")])
def test_one_length_beside_the_line_is_noise_and_two_are_a_bend(beside, told):
    """An interval of 95 % misses its median now and then; two seldom do."""
    fit = PrefillFit.of(rounds_of(lambda one, number: 20 + 0.1 * one + number, rounds=9))
    lengths = tuple(
        replace(one, line_ms=one.ms.p50_high + 1 if place < beside else one.ms.p50_high)
        for place, one in enumerate(fit.lengths)
    )
    doubted = replace(fit, leave_one_out=1.0, lengths=lengths)
    assert f": {told}" in doubted.doubt


def test_times_that_hardly_rise_are_doubted():
    """A flat line predicts what is left out well, and yet its slope is nothing."""
    times = {256: 50.0, 512: 51.0, 1024: 50.2, 2048: 50.9}
    fit = PrefillFit.of(rounds_of(lambda one, _: times[one], tuple(times), 1))
    assert fit.leave_one_out < 0.05
    assert fit.doubt is not None


@given(slopes, bases, st.floats(min_value=0.2, max_value=5))
def test_an_error_is_that_of_a_length_left_out(slope, base, factor):
    """Recomputed by hand where three lengths leave one line each."""
    assume(abs(factor - 1) > 1e-3)
    times = {100: base + slope * 100, 200: base + slope * 200, 300: (base + slope * 300) * factor}
    assume(times[300] > times[100] * 1.001)
    fit = PrefillFit.of(rounds_of(lambda one, _: times[one], tuple(times), 1))
    a, b, c = times.values()
    by_hand = max(abs(2 * b - c - a) / a, abs((a + c) / 2 - b) / b, abs(2 * b - a - c) / c)
    assert fit.leave_one_out == pytest.approx(by_hand, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    "rounds", [[], [[PrefillPoint(1, 1.0)], []], rounds_of(lambda one, _: 0.0)]
)
def test_what_is_no_measurement_is_refused(rounds):
    """No rounds, rounds of different lengths, and times that cannot be."""
    with pytest.raises(ValueError, match=r"round|shorter|above 0"):
        PrefillFit.of(rounds)
