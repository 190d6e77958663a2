"""The latency model: what was measured comes back, and what was not is derived or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.profiles import entry, entry_of, full_profile, grid_tokens, profile

from app.core.latency.latency import Distribution, DriftNow, Latency
from app.core.latency.model import (
    LatencyCurve,
    LatencyModel,
    connector_token_ms,
    count_error,
    repetition_error,
)
from app.core.latency.profile import Profile, ProfileEntry
from app.core.latency.timings import P99_SAMPLES, Samples, samples_needed
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, plan_with_grid
from app.profiles import load_profile

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
FAMILY = family_named(DEFAULT_FAMILY)
PERCENTILES = (0, 10, 50, 90, 95)
SHAPES = {1: (0, 0), 2: (1, 1), 3: (1, 2), 4: (1, 3), 5: (2, 2), 7: (2, 3), 10: (3, 3), 13: (3, 4)}
"""The grid that a profile measures of each of these total crops."""


def grid_plan(rows: int, cols: int, **overrides) -> CropPlan:
    config = make_config(FAMILY, max_crops=64, **overrides)
    return plan_with_grid(Size(640, 480), Grid(rows, cols), config)


def linear_entry(rows: int, cols: int, crop_ms: float, token_ms: float) -> ProfileEntry:
    """Three equal passes of a network that costs just these, and a ms at each stage."""
    tokens, crops = grid_tokens(rows, cols), rows * cols + 1
    vit, connector = crop_ms * crops + 1, token_ms * tokens + 1
    made = entry(rows, cols, 1.0)
    samples = Samples((vit + connector,) * 3, (vit,) * 3, (connector,) * 3)
    return ProfileEntry.of(
        samples, rows=rows, cols=cols, patch_tokens=tokens, flops=made.flops, warmup=made.warmup
    )


def linear_profile(counts: Sequence[int], crop_ms: float, token_ms: float) -> Profile:
    return profile(*(linear_entry(*SHAPES[count], crop_ms, token_ms) for count in sorted(counts)))


def percentiles(latency: Latency) -> list[float]:
    found = [latency.at(percentile) for percentile in PERCENTILES]
    assert None not in found, latency.reason
    return [ms for ms in found if ms is not None]


counts = st.sets(st.sampled_from(list(SHAPES)), min_size=3)
costs = st.floats(0.01, 100)
passes = st.lists(st.floats(1, 1e4), min_size=1, max_size=9).map(tuple)


@given(st.lists(passes, min_size=1, max_size=len(SHAPES)))
def test_what_was_measured_comes_back(measured: list[tuple[float, ...]]) -> None:
    """Every percentile of a measured count's own grid is that of its passes, to the last bit."""
    shapes = list(SHAPES.values())[: len(measured)]
    pairs = zip(shapes, measured, strict=True)
    made = profile(*(entry_of(*shape, samples) for shape, samples in pairs))
    for known in made.entries[1:]:
        latency = LatencyModel(made).latency(grid_plan(known.rows, known.cols))
        assert (latency.source, latency.basis, latency.drift) == ("profile", "measured", None)
        times = known.vision_ms
        assert percentiles(latency)[2:] == [times.p50, times.p90, times.p95]
        assert latency.vision is not None
        assert latency.vision.vision_ms.samples == times.samples
        assert latency.vision.vit_ms == known.vit_ms.p50
        assert latency.vision.connector_ms == known.connector_ms.p50


@given(counts, costs, costs, st.integers(1, 12), st.integers(1, 12))
def test_a_line_without_noise_is_predicted_without_error(
    measured: set[int], crop_ms: float, token_ms: float, rows: int, cols: int
) -> None:
    """Of any grid, at any tokens, within what was measured; and the model says so of itself."""
    assume(rows * cols + 1 <= max(measured))
    model = LatencyModel(linear_profile(list(measured), crop_ms, token_ms))
    plan = grid_plan(rows, cols)
    latency = model.latency(plan)
    if plan.total_crops < min(measured):
        assert latency.source == "none"
        return
    expected = crop_ms * plan.total_crops + token_ms * plan.tokens.patch + 2
    assert percentiles(latency) == pytest.approx([expected] * len(PERCENTILES))
    assert latency.vision is not None
    whole = latency.vision.vit_ms + latency.vision.connector_ms
    assert whole == pytest.approx(expected)
    error = model.error
    assert error is not None
    assert error.method == "leave-one-count-out"
    assert error.counts == len(measured) - 2
    assert max(error.p50.max, error.p95.max) == pytest.approx(0, abs=1e-9)


def test_twelve_crops_in_a_row_cost_more_than_three_by_four() -> None:
    """By the connector's time for the tokens that the longer canvas has more, and nothing else."""
    model = LatencyModel(linear_profile([1, 7, 13], crop_ms=400, token_ms=0.4))
    square, row = (model.latency(grid_plan(*grid)) for grid in ((3, 4), (1, 12)))
    more = grid_tokens(1, 12) - grid_tokens(3, 4)
    assert more == 192
    assert (square.basis, row.basis) == ("measured", "adjusted")
    assert "192 tokens more" in row.reason
    times = zip(percentiles(row), percentiles(square), strict=True)
    assert [one - other for one, other in times] == pytest.approx([0.4 * more] * len(PERCENTILES))
    assert row.vision is not None
    assert square.vision is not None
    assert row.vision.vit_ms == square.vision.vit_ms


@given(
    st.lists(st.tuples(st.sampled_from(list(SHAPES.values())), passes), min_size=1, max_size=6),
    st.integers(0, 12),
    st.lists(st.integers(0, 5000), min_size=2, max_size=2).map(sorted),
)
def test_more_tokens_never_cost_less(
    measured: list[tuple[tuple[int, int], tuple[float, ...]]], crops: int, tokens: list[int]
) -> None:
    """At the same number of crops, however noisy the profile; and no stage takes less than 0."""
    entries = {rows * cols: entry_of(rows, cols, times) for (rows, cols), times in measured}
    curve = LatencyCurve([entries[count] for count in sorted(entries)])
    around = curve.neighbours(crops + 1)
    assume(around is not None)
    assert around is not None
    few, many = (curve.between(around, crops + 1, count) for count in tokens)
    for percentile in PERCENTILES:
        assert few.vision_ms.at(percentile) <= many.vision_ms.at(percentile)
    assert -1e-9 <= few.connector_ms <= many.connector_ms


def test_a_connector_never_takes_less_than_nothing() -> None:
    """Where a steep slope over tokens would say so, and the ViT keeps its time."""
    few, many = linear_entry(1, 1, 10, 0.0), linear_entry(2, 3, 10, 1.0)
    found = LatencyCurve([few, many]).between((few, few), 2, 0)
    assert found.connector_ms == 0
    assert found.vit_ms == few.vit_ms.p50
    assert found.vision_ms.p50 == pytest.approx(few.vit_ms.p50)


@given(passes, passes, st.floats(0, 1), st.floats(-0.5, 50), st.floats(0.1, 10))
def test_percentiles_rise(
    lower: tuple[float, ...], upper: tuple[float, ...], part: float, shift: float, factor: float
) -> None:
    """Whatever the samples, between two counts, with other tokens and with drift."""
    made = replace(Distribution.of(lower), upper=tuple(sorted(upper)), part=part)
    moved = replace(made, shift_ms=shift, factor=factor)
    for one in (made, moved):
        found = [one.at(percentile) for percentile in range(96)]
        assert all(a <= b * (1 + 1e-12) for a, b in pairwise(found))
        assert (one.p50, one.p95) == (one.at(50), one.at(95))
    assert moved.p50 == pytest.approx((made.p50 + shift) * factor)


@given(counts, costs, st.integers(2, 13))
def test_between_two_counts_lies_between_their_latencies(
    measured: set[int], crop_ms: float, total: int
) -> None:
    """At tokens between theirs, where more crops cost more, a count that was left out does."""
    assume(total not in measured)
    curve = LatencyCurve(linear_profile(list(measured), crop_ms, 0.1).entries)
    around = curve.neighbours(total)
    assume(around is not None)
    assert around is not None
    lower, upper = around
    found = curve.between(around, total, (lower.patch_tokens + upper.patch_tokens) // 2)
    # The tokens are not just those on the line, so by as much as they may be off it.
    most_off = 0.1 * (upper.patch_tokens - lower.patch_tokens) / 2 + 1e-9
    assert lower.vision_ms.p50 - most_off < found.vision_ms.p50
    assert found.vision_ms.p50 < upper.vision_ms.p50 + most_off
    assert lower.vit_ms.p50 < found.vit_ms < upper.vit_ms.p50


def test_an_interpolated_latency_says_so_and_how_good_it_is() -> None:
    """Between which counts, and how far such predictions were off where they could be checked."""
    entries = [entry_of(*SHAPES[count], (10.0 * count,) * 3) for count in (1, 4, 7)]
    bent = entry_of(*SHAPES[13], (200.0,) * 3)
    latency = LatencyModel(profile(*entries, bent)).latency(grid_plan(3, 3))
    assert latency.basis == "interpolated"
    assert "between 7 crops in all (2x3) and 13 crops in all (3x4)" in latency.reason
    assert "predicted to at most" in latency.reason


@pytest.mark.parametrize("total", [2, 14])
def test_nothing_is_extrapolated(total: int) -> None:
    """Fewer crops than were measured, or more, have no latency on a CPU either."""
    model = LatencyModel(linear_profile([3, 7, 13], 10, 0.1))
    latency = model.latency(grid_plan(1, total - 1))
    assert (latency.source, latency.at(50)) == ("none", None)
    assert latency.reason == f"a total of {total} crops was never measured"
    assert latency.why_not(50) == latency.reason


@given(counts, st.integers(1, 12))
def test_on_a_gpu_only_what_was_measured_has_a_latency(measured: set[int], crops: int) -> None:
    """Its curve is a staircase, so a count between two others is refused, and why is said."""
    made = replace(linear_profile(list(measured), 10, 0.1), device_type="cuda")
    latency = LatencyModel(made).latency(grid_plan(1, crops))
    assert (latency.source == "profile") == (crops + 1 in measured)
    assert latency.basis != "interpolated"
    between = min(measured) < crops + 1 < max(measured) and crops + 1 not in measured
    assert ("staircase" in latency.reason) == between


def test_two_counts_show_no_line() -> None:
    """A line through two always goes, so nothing is interpolated between them."""
    made = linear_profile([1, 7], 10, 0.1)
    model = LatencyModel(replace(made, complete=False))
    assert model.latency(grid_plan(1, 3)).reason == "a total of 4 crops is not measured yet"
    assert model.error is None


def test_other_margins_change_only_the_tokens() -> None:
    """Their latency is that of the same crops with their tokens, and the answer says why."""
    model = LatencyModel(linear_profile([1, 7, 13], crop_ms=10, token_ms=0.1))
    plan = grid_plan(2, 3, overlap_margins=(2, 2))
    latency = model.latency(plan)
    assert latency.at(50) == pytest.approx(72 + 0.1 * plan.tokens.patch)
    assert latency.basis == "adjusted"
    assert "overlap margins other than the profile's (4, 4)" in latency.reason


def test_without_differing_tokens_the_connector_is_proportional() -> None:
    """One count, or several of the same tokens, show no slope; no entries cost nothing."""
    one = linear_entry(2, 3, 10, 0.1)
    assert connector_token_ms([one]) == pytest.approx(one.connector_ms.p50 / one.patch_tokens)
    assert connector_token_ms([]) == 0
    assert LatencyModel(profile()).latency(grid_plan(1, 1)).source == "none"


def test_between_two_counts_there_are_as_many_samples_as_the_fewer() -> None:
    """So that a p99 is not made of three passes; and a token costs its share of the median."""
    few = [entry_of(*SHAPES[count], (10.0 * count, 11.0 * count, 90.0 * count)) for count in (1, 4)]
    many = entry_of(*SHAPES[7], tuple(70.0 + n / 600 for n in range(600)))
    model = LatencyModel(profile(*few, many))
    between = model.latency(grid_plan(2, 2))
    assert between.vision is not None
    assert (between.basis, between.vision.vision_ms.samples) == ("interpolated", 3)
    assert between.at(99) is None
    measured = model.latency(grid_plan(1, 3))
    assert measured.per_token_us(500) == measured.at(50) * 1e3 / 500
    assert model.latency(grid_plan(3, 4)).per_token_us(500) is None


def test_high_percentiles_need_samples() -> None:
    """Five beyond them; p95 and below are given for any number, as in the profile."""
    assert [samples_needed(p) for p in (0, 50, 95, 99, 99.9)] == [1, 1, 1, P99_SAMPLES, 5000]
    assert samples_needed(96) == 125
    few = LatencyModel(linear_profile([1, 7, 13], 10, 0.1)).latency(grid_plan(2, 3))
    assert (few.at(95) is None, few.at(95.5)) == (False, None)
    assert few.why_not(95) is None
    assert few.why_not(99) == "p99 needs 500 samples of each count, and there are 3"
    many = LatencyModel(full_profile()).latency(grid_plan(2, 3))
    assert many.at(99) == full_profile().entries[1].vision_ms.p99
    assert many.why_not(99) is None
    for impossible in (-1, 100):
        with pytest.raises(ValueError, match="from 0 to below 100"):
            many.at(impossible)


@given(st.floats(0.1, 10), st.integers(3, 15))
def test_drift_multiplies_everything_once(ratio: float, measurements: int) -> None:
    """Every percentile and both stages; and the answer has the factor and names it."""
    model = LatencyModel(linear_profile([1, 7, 13], 10, 0.1))
    plan = grid_plan(1, 12)
    plain, drifted = model.latency(plan), model.latency(plan, DriftNow(ratio, measurements))
    assert percentiles(drifted) == pytest.approx([ratio * ms for ms in percentiles(plain)])
    assert drifted.drift == ratio
    assert f"the median of {measurements} live measurements" in drifted.reason
    assert drifted.vision is not None
    assert plain.vision is not None
    assert drifted.vision.vit_ms == pytest.approx(ratio * plain.vision.vit_ms)
    assert drifted.vision.connector_ms == pytest.approx(ratio * plain.vision.connector_ms)


@given(st.floats(1.01, 2))
def test_the_error_is_that_of_the_count_left_out(bend: float) -> None:
    """Three counts on a line but for the middle one: it is over- or underestimated by just that."""
    entries = [linear_entry(*SHAPES[count], 10, 0) for count in (1, 7, 13)]
    middle = entries[1].vision_ms.p50
    bent = entry_of(2, 3, (middle * bend,) * 3)
    # No token costs anything at the ends, so what lies between them is the line's.
    error = count_error([entries[0], bent, entries[2]])
    assert error is not None
    assert error.counts == 1
    assert error.p50.max == error.p50.median == pytest.approx(1 - 1 / bend)
    assert error.p95.max == pytest.approx(error.p50.max)


def test_where_nothing_is_interpolated_the_error_is_that_of_repeating() -> None:
    """Half of the passes against the other half, in turns; six passes are the fewest."""
    steady, moved = (10.0, 10.0) * 3, (10.0, 8.0) * 3
    made = profile(entry_of(1, 1, steady), entry_of(1, 2, moved), entry_of(1, 3, (10.0,) * 5))
    error = LatencyModel(replace(made, device_type="cuda")).error
    assert error is not None
    assert (error.method, error.counts) == ("half-against-half", 2)
    assert (error.p50.median, error.p50.max) == pytest.approx((0.125, 0.25))
    assert repetition_error(made.entries[2:]) is None


@pytest.mark.parametrize("file", sorted(RESULTS.glob("profile_*.json")), ids=lambda file: file.name)
def test_profiles_measured_here_predict_themselves(file: Path) -> None:
    """Within what is asked of predictions: 10 % at p50 and 20 % at p95."""
    error = LatencyModel(load_profile(file)).error
    assert error is not None
    assert error.p50.max < 0.1
    assert error.p95.max < 0.2
