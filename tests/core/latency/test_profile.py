from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.profiles import entry, entry_of, full_profile, predict, profile

from app.core.errors import InvalidProfile
from app.core.latency.profile import ProfileEntry
from app.core.latency.profile_file import (
    check_laws,
    profile_filename,
    profile_from_json,
    profile_to_json,
)
from app.core.latency.timings import P99_SAMPLES, Percentiles, Samples
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import plan_with_grid

PROFILE = full_profile()
TEXT = profile_to_json(PROFILE)


def test_percentiles_interpolate_linearly() -> None:
    """Between the two nearest samples, whatever their order; a single sample is all of them."""
    times = Percentiles.of([40.0, 10.0, 20.0, 30.0, 50.0])
    assert (times.min, times.p50, times.max, times.samples) == (10, 30, 50, 5)
    assert (times.p90, times.p95) == pytest.approx((46, 48))
    assert (times.p50_low, times.p50_high, times.mad) == (10, 50, 10)
    assert Percentiles.of([7.0]) == Percentiles(7, 7, 7, 7, 7, None, 0, 7, 7, 1)
    assert Percentiles.of_any([]) is None
    with pytest.raises(ValueError, match="at least one"):
        Percentiles.of([])


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1))
def test_percentiles_rise_within_the_samples(samples: list[float]) -> None:
    """min ≤ p50 ≤ p90 ≤ p95 ≤ max for any samples, and p50 lies in its own interval."""
    t = Percentiles.of(samples)
    for rising in ([t.min, t.p50, t.p90, t.p95, t.max], [t.min, t.p50_low, t.p50, t.p50_high]):
        assert rising == sorted(rising)


@pytest.mark.parametrize("count", [P99_SAMPLES - 1, P99_SAMPLES])
def test_a_p99_needs_many_samples(count: int) -> None:
    """Of fewer it would be an outlier or two, and is not given."""
    p99 = Percentiles.of(range(count)).p99
    assert (p99 is None) == (count < P99_SAMPLES)
    assert p99 is None or p99 == pytest.approx(0.99 * (count - 1))


def test_json_round_trip() -> None:
    """What is written is read back as an equal value, integers where floats may be included."""
    for written in (PROFILE, profile()):
        assert profile_from_json(profile_to_json(written)) == written
    data = json.loads(TEXT)
    data["matmul_gflop_per_s"] = 800
    assert profile_from_json(json.dumps(data)).matmul_gflop_per_s == 800.0


@given(st.text())
def test_samples_are_written_in_one_line(text: str) -> None:
    """A file of thousands of them stays readable, and no text is taken for numbers."""
    for device in (text, "[\n 1,\n 2\n]", f"[\n{text}]"):
        written = profile_to_json(replace(profile(entry(1, 1, 5.0)), device=device))
        assert profile_from_json(written).device == device
        assert '"vision": [5.0, 6.0, 7.0]' in written


def test_entries_are_found_and_never_interpolated() -> None:
    """A count that was not measured has no entry, though its neighbours have."""
    found = PROFILE.entry(7)
    assert found is not None
    assert found.cols == 3
    assert PROFILE.entry(4) is None


FIRST, SECOND = ("entries", 0), ("entries", 1)
SAMPLES = (*FIRST, "samples_ms")


@pytest.mark.parametrize(
    ("field", "path", "value"),
    [
        ("schema_version", ("schema_version",), 99),
        ("model", ("model",), None),
        ("device_type", ("device_type",), "tpu"),
        ("overlap_margins", ("overlap_margins",), [4]),
        ("overlap_margins[1]", ("overlap_margins", 1), "4"),
        ("threads", ("threads",), True),
        ("measured_at", ("measured_at",), "yesterday"),
        ("measured_at", ("measured_at",), "2025-01-01T00:00:00"),
        ("versions.torch", ("versions",), {"python": "3.11"}),
        ("versions.torch", ("versions", "torch"), 2),
        ("fidelity.min_cosine", ("fidelity", "min_cosine"), "1"),
        ("machine_after.throttle", ("machine_after", "throttle"), "no"),
        ("machine_after.power_w", ("machine_after", "power_w"), "100 W"),
        ("complete", ("complete",), 1),
        ("entries", ("entries",), {}),
        ("entries", ("entries",), [7, 7]),
        ("entries[0].flops", (*FIRST, "flops"), 1.5),
        ("entries[0].warmup.settled", (*FIRST, "warmup", "settled"), None),
        ("entries[1].vision_ms.p50", (*SECOND, "vision_ms", "p50"), float("nan")),
        ("entries[1].vision_ms.p50", (*SECOND, "vision_ms", "p50"), -1.0),
        ("entries[1].vision_ms.max", (*SECOND, "vision_ms", "max"), 10**400),
        ("entries[0].samples_ms.vision", (*SAMPLES, "vision"), 3.0),
        ("surprise", ("surprise",), 1),
        # What contradicts something else in the file.
        ("entries[1].total_crops", (*SECOND, "rows"), 3),
        ("entries[1].vision_ms.p50", (*SECOND, "vision_ms", "p50"), 20.0),
        ("entries[1].vit_ms.p50_low", (*SECOND, "vit_ms", "p50_low"), 19.0),
        ("entries[1].vit_ms.samples", (*SECOND, "vit_ms", "samples"), 501),
        ("entries[1].full_ms", (*SECOND, "full_ms"), None),
        ("entries[1].vision_ms.p99", (*SECOND, "vision_ms", "p99"), None),
        ("entries[0].vision_ms.p99", (*FIRST, "vision_ms", "p99"), 7.0),
        ("entries[0].gflop_per_s", (*FIRST, "gflop_per_s"), 170.0),
        ("entries[0].samples_ms.vision", (*SAMPLES, "vision"), []),
        ("entries[0].samples_ms.vision", (*SAMPLES, "vision", 1), 0),
        ("entries[0].samples_ms.vit", (*SAMPLES, "vit"), [1, 2]),
        ("entries[0].samples_ms.cpu", (*SAMPLES, "cpu"), [1, 2]),
        ("entries[0].samples_ms.vision[1]", (*SAMPLES, "connector", 1), 1.5),
        ("states[0].samples_ms", ("states", 0, "samples_ms"), []),
        ("states[0].silence_s", ("states", 0, "silence_s"), 1),
        ("states[1].silence_s", ("states", 1, "silence_s"), None),
        ("states[1].vision_ms.max", ("states", 1, "vision_ms", "max"), 27),
    ],
)
def test_a_damaged_field_is_named(field: str, path: tuple[str | int, ...], value: Any) -> None:
    """Whatever is wrong, the error says where."""
    data = json.loads(TEXT)
    if value == [7, 7]:
        value = [data["entries"][1]] * 2
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(InvalidProfile) as caught:
        profile_from_json(json.dumps(data))
    assert caught.value.facts["field"] == field
    assert caught.value.detail.startswith(f"{field}: ")


@pytest.mark.parametrize(("connector_ms", "fits"), [(0.2009, True), (0.2016, False)])
def test_parts_may_be_longer_than_the_whole_by_rounding_alone(
    connector_ms: float, fits: bool
) -> None:
    """Also where a thousandth of a short time is less than the last digit that was kept."""
    one = PROFILE.entries[0]
    samples = Samples((0.5,), (0.3,), (connector_ms,))
    made = ProfileEntry.of(
        samples,
        rows=one.rows,
        cols=one.cols,
        patch_tokens=one.patch_tokens,
        flops=one.flops,
        warmup=one.warmup,
    )
    short = replace(PROFILE, entries=(made,))
    if fits:
        check_laws(short)
    else:
        with pytest.raises(InvalidProfile, match="less than its two parts"):
            check_laws(short)


@pytest.mark.parametrize("part", ["vit", "connector"])
def test_every_pass_has_both_parts(part: str) -> None:
    """Only the CPU's time may be missing."""
    one = PROFILE.entries[0]
    known: dict[str, Any] = {part: ()}
    without = replace(one, samples_ms=replace(one.samples_ms, **known))
    with pytest.raises(InvalidProfile, match=f"{part}: 0 values of"):
        check_laws(replace(PROFILE, entries=(without,)))


def test_rounded_figures_are_no_contradiction() -> None:
    """A file whose times were rounded to the µs by another program is still read."""
    data = json.loads(TEXT, parse_float=lambda digits: round(float(digits), 3))
    assert profile_from_json(json.dumps(data)).entries[1].vision_ms.p50 == 23


def test_a_profile_of_an_older_version_is_to_be_measured_again() -> None:
    """Its figures mean something else, so they are refused and not converted."""
    with pytest.raises(InvalidProfile, match=r"1 is not 2.*measure again"):
        profile_from_json('{"schema_version": 1, "model": "molmo-7b-d-0924"}')
    with pytest.raises(InvalidProfile, match="this is no profile"):
        profile_from_json('{"rows": []}')


@pytest.mark.parametrize("field", ["model", "entries", "states", "fidelity"])
def test_a_missing_field_is_named(field: str) -> None:
    """No field has a silent default."""
    data = json.loads(TEXT)
    del data[field]
    with pytest.raises(InvalidProfile, match=f"{field}: missing"):
        profile_from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", TEXT[:-20]])
def test_what_is_no_profile_is_refused(text: str) -> None:
    """Cut off, empty, or JSON of another kind."""
    with pytest.raises(InvalidProfile):
        profile_from_json(text)


def test_a_profile_matches_its_own_conditions_only() -> None:
    """Any condition that decides a latency keeps a profile from being reused; the rest do not."""
    changes: list[dict[str, Any]] = [
        {"model": "molmo-72b-0924"},
        {"device": "Another GPU"},
        {"device_type": "cpu"},
        {"dtype": "float32"},
        {"runtime": "eager"},
        {"weights": "checkpoint"},
        {"overlap_margins": (4, 2)},
        {"versions": {**PROFILE.versions, "torch": "2.14.0"}},
    ]
    keys = {replace(PROFILE, **change).key for change in changes}
    assert len(keys) == len(changes)
    assert PROFILE.key not in keys
    assert PROFILE.key == replace(PROFILE, measured_at="later", entries=()).key


def test_threads_are_a_condition_on_a_cpu_only() -> None:
    """A container that is given other cores reuses what was measured of its GPU."""
    assert PROFILE.device_type == "cuda"
    assert PROFILE.key == replace(PROFILE, threads=7).key
    on_cpu = replace(PROFILE, device_type="cpu")
    assert on_cpu.key != replace(on_cpu, threads=7).key


def test_file_names_are_safe_and_distinct() -> None:
    """Only plain characters whatever the device is called, and one name per key."""
    keys = [
        replace(PROFILE.key, device=device)
        for device in ("../../etc", "A B", "A/B", "Ü", "x" * 500)
    ]
    names = [profile_filename(key) for key in keys]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(name) < 200
        assert name.isascii()
        assert not set(name) & set("/\\: ")
        assert not name.startswith(".")


@pytest.mark.parametrize(("device_type", "counts"), [("cpu", 2), ("cpu", 3), ("cuda", 13)])
def test_a_line_is_fitted_where_there_is_one(device_type: str, counts: int) -> None:
    """On a CPU, of three counts or more; a GPU's staircase has none."""
    entries = [entry(1, n, 10.0 * n + 4) for n in range(1, counts + 1)]
    line = replace(profile(*entries), device_type=device_type).line
    assert (line is not None) == (device_type == "cpu" and counts >= 3)
    if line is not None:
        found = (line.slope, line.intercept, line.r2)
        assert found == pytest.approx((10, -5, 1))  # the median is 1 ms more, the crops one


@given(st.floats(1, 1e3), st.floats(1, 1e6))
def test_the_floor_is_the_rate_seen_from_the_other_side(ms: float, rate: float) -> None:
    """Floor over p50 is the share of the product's rate; without a rate there is neither."""
    one = entry_of(1, 1, (ms,))
    assert one.fraction_of_floor(rate) == pytest.approx(one.gflop_per_s / rate)
    assert one.floor_ms(rate) == pytest.approx(one.flops / rate / 1e6)
    assert one.floor_ms(None) is None
    assert one.fraction_of_floor(None) is None


def test_a_doubtful_profile_says_so_in_every_latency() -> None:
    """Whoever reads one figure does not read the profile beside it."""
    plan = plan_with_grid(Size(640, 480), Grid(2, 3), make_config(family_named(DEFAULT_FAMILY)))
    contended = predict(PROFILE, plan)
    assert contended.reason.endswith("; in doubt: clocks were held down: sw_thermal_slowdown")
    assert contended.runtime == "cuda-graphs"
    assert "doubt" not in predict(replace(PROFILE, contended=None), plan).reason


def test_an_age_is_never_below_zero() -> None:
    """The clock that measured may be ahead of the one that asks."""
    measured = datetime.fromisoformat(PROFILE.measured_at)
    assert PROFILE.age_s(measured + timedelta(minutes=1)) == 60
    assert PROFILE.age_s(measured - timedelta(minutes=1)) == 0
