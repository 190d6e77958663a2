from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import profile as module
from app.core.errors import InvalidProfile
from app.core.profile import (
    SCHEMA_VERSION,
    Percentiles,
    Profile,
    ProfileEntry,
    load_profile,
    profile_filename,
    save_profile,
)


def entry(total_crops: int, rows: int, cols: int, samples: tuple[float, ...]) -> ProfileEntry:
    times = Percentiles.of(samples)
    return ProfileEntry(
        total_crops, rows, cols, 144 * total_crops, times, times, times, 10**12, 1.5, samples
    )


PROFILE = Profile(
    schema_version=SCHEMA_VERSION,
    model="molmo-7b-d-0924",
    device="Some GPU (80 GB)",
    device_type="cuda",
    dtype="bfloat16",
    weights="random",
    overlap_margins=(4, 4),
    threads=2,
    versions={"python": "3.11.2", "torch": "2.13.0", "crop_planner": "0.1.0"},
    measured_at="2025-01-02T03:04:05+00:00",
    warmup=3,
    matmul_gflop_per_s=None,
    complete=True,
    entries=(entry(1, 0, 0, (3.0, 1.0, 2.0)), entry(7, 2, 3, (9.0, 8.5))),
)


def test_percentiles_interpolate_linearly() -> None:
    """Between the two nearest samples, whatever their order; a single sample is all of them."""
    times = Percentiles.of([40.0, 10.0, 20.0, 30.0, 50.0])
    assert (times.min, times.p50, times.max, times.samples) == (10, 30, 50, 5)
    assert (times.p90, times.p95) == pytest.approx((46, 48))
    assert Percentiles.of([7.0]) == Percentiles(7, 7, 7, 7, 7, 7, 1)
    with pytest.raises(ValueError, match="at least one"):
        Percentiles.of([])


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1))
def test_percentiles_rise_within_the_samples(samples: list[float]) -> None:
    """min ≤ p50 ≤ p90 ≤ p95 ≤ p99 ≤ max for any samples, so that a profile can be read again."""
    t = Percentiles.of(samples)
    rising = [t.min, t.p50, t.p90, t.p95, t.p99, t.max]
    assert rising == sorted(rising)


def test_json_round_trip() -> None:
    """What is written is read back as an equal value, integers where floats may be included."""
    assert Profile.from_json(PROFILE.to_json()) == PROFILE
    data = json.loads(PROFILE.to_json())
    data["matmul_gflop_per_s"] = 800
    assert Profile.from_json(json.dumps(data)).matmul_gflop_per_s == 800.0


def test_entries_are_found_and_never_interpolated() -> None:
    """A count that was not measured has no entry, though its neighbours have."""
    found = PROFILE.entry(7)
    assert found is not None
    assert found.cols == 3
    assert PROFILE.entry(4) is None


@pytest.mark.parametrize(
    ("field", "path", "value"),
    [
        ("schema_version", ["schema_version"], 99),
        ("model", ["model"], None),
        ("device_type", ["device_type"], "tpu"),
        ("overlap_margins", ["overlap_margins"], [4]),
        ("overlap_margins[1]", ["overlap_margins", 1], "4"),
        ("threads", ["threads"], True),
        ("versions.torch", ["versions"], {"python": "3.11"}),
        ("versions.torch", ["versions", "torch"], 2),
        ("complete", ["complete"], 1),
        ("entries", ["entries"], {}),
        ("entries", ["entries"], [7, 7]),
        ("entries[0].flops", ["entries", 0, "flops"], 1.5),
        ("entries[1].vision_ms.p50", ["entries", 1, "vision_ms", "p50"], float("nan")),
        ("entries[1].vision_ms.p50", ["entries", 1, "vision_ms", "p50"], -1.0),
        ("entries[1].vision_ms.max", ["entries", 1, "vision_ms", "max"], 10**400),
        ("entries[1].vit_ms", ["entries", 1, "vit_ms", "p50"], 1e6),
        ("entries[1].vit_ms.samples", ["entries", 1, "vit_ms", "samples"], 3),
        ("entries[1].total_crops", ["entries", 1, "rows"], 3),
        ("entries[0].samples_ms", ["entries", 0, "samples_ms"], 3.0),
        ("surprise", ["surprise"], 1),
    ],
)
def test_a_damaged_field_is_named(field: str, path: list[str | int], value: Any) -> None:
    """Whatever is wrong, the error says where."""
    data = json.loads(PROFILE.to_json())
    if value == [7, 7]:
        value = [data["entries"][1]] * 2
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(InvalidProfile) as caught:
        Profile.from_json(json.dumps(data))
    assert caught.value.facts["field"] == field
    assert field in caught.value.detail


@pytest.mark.parametrize("field", ["model", "entries", "measured_at", "matmul_gflop_per_s"])
def test_a_missing_field_is_named(field: str) -> None:
    """No field has a silent default."""
    data = json.loads(PROFILE.to_json())
    del data[field]
    with pytest.raises(InvalidProfile, match=f"{field}: missing"):
        Profile.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", PROFILE.to_json()[:-20]])
def test_what_is_no_profile_is_refused(text: str) -> None:
    """Cut off, empty, or JSON of another kind."""
    with pytest.raises(InvalidProfile):
        Profile.from_json(text)


def test_a_profile_matches_its_own_conditions_only() -> None:
    """Any condition that decides a latency keeps a profile from being reused; the rest do not."""
    assert PROFILE.matches(PROFILE.key)
    changes: list[dict[str, Any]] = [
        {"model": "molmo-72b-0924"},
        {"device": "Another GPU"},
        {"device_type": "cpu"},
        {"dtype": "float32"},
        {"weights": "checkpoint"},
        {"overlap_margins": (4, 2)},
        {"threads": 1},
        {"versions": {**PROFILE.versions, "torch": "2.14.0"}},
    ]
    keys = {replace(PROFILE, **change).key for change in changes}
    assert len(keys) == len(changes)
    assert not any(PROFILE.matches(key) for key in keys)
    assert PROFILE.matches(replace(PROFILE, measured_at="later", entries=()).key)


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


def test_saving_and_loading(tmp_path: Path) -> None:
    """A saved profile is loaded again, a second one replaces it, and nothing else is left over."""
    path = save_profile(PROFILE, tmp_path / "new")
    assert load_profile(path) == PROFILE
    newer = replace(PROFILE, complete=False)
    assert save_profile(newer, tmp_path / "new") == path
    assert load_profile(path) == newer
    assert list((tmp_path / "new").iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers see the old profile or the new one, never half of one."""
    path = save_profile(PROFILE, tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(module.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_profile(replace(PROFILE, complete=False), tmp_path)
    assert load_profile(path) == PROFILE
    assert list(tmp_path.iterdir()) == [path]


def test_an_unreadable_file_is_no_profile(tmp_path: Path) -> None:
    """Absent or not text: the same error as for a damaged profile."""
    with pytest.raises(InvalidProfile, match="cannot read absent"):
        load_profile(tmp_path / "absent.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidProfile, match="cannot read bytes"):
        load_profile(tmp_path / "bytes.json")
