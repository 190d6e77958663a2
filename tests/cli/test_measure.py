from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.encoders import CPU
from support.profiles import entry, profile

from app.core.latency.profile_file import profile_filename
from app.core.plan.families import Family, family_named
from app.encoder.encoder import Encoder
from app.encoder.measuring.record import profile_key
from app.encoder.network.backbone import meta_backbone
from app.encoder.runtimes.base import Eager
from app.profiles import load_profile, save_profile
from tests.cli.conftest import Run


@pytest.fixture
def loaded(loaded: list[Family], monkeypatch: pytest.MonkeyPatch) -> list[Family]:
    """Nor are the machine's own rates measured."""
    monkeypatch.setattr(
        "app.encoder.measuring.measure.matmul_gflop_per_s", lambda device, dtype: 500.0
    )
    monkeypatch.setattr("app.encoder.measuring.measure.copy_gb_per_s", lambda device: 20.0)
    return loaded


@pytest.fixture
def saved(encoder: Encoder, tmp_path: Path) -> Path:
    """Where the service looks for this encoder's profile."""
    return tmp_path / "profiles" / profile_filename(profile_key(encoder))


def test_a_profile_is_measured_and_saved(
    run: Run, loaded: list[Family], saved: Path, tmp_path: Path
) -> None:
    """Where the service finds it, and where it was asked for."""
    copy = tmp_path / "copy.json"
    result = run("measure", "--counts", "1-2", "--repeats", 3, "--warmup", 0, "--output", copy)
    assert result.exit_code == 0
    assert [family.name for family in loaded] == ["molmo-7b-d-0924"]
    measured = load_profile(saved)
    assert [(e.total_crops, len(e.samples_ms.vision)) for e in measured.entries] == [(1, 3), (2, 3)]
    assert load_profile(copy) == measured
    assert "matmul" in result.stdout
    assert str(saved) in result.stdout
    assert "100 %, rounds" in result.stderr


def test_json_is_the_profile(run: Run, loaded: list[Family]) -> None:
    """Alone on stdout, as the progress is on stderr."""
    result = run("measure", "--counts", "2", "--repeats", 1, "--warmup", 0, "--json")
    answer = json.loads(result.stdout)
    assert [e["total_crops"] for e in answer["entries"]] == [2]
    assert answer["entries"][0]["matmul_fraction"] > 0


def test_other_counts_are_kept(run: Run, loaded: list[Family], saved: Path) -> None:
    """Measuring a count again replaces it alone; resuming replaces nothing that is whole."""
    one = ("measure", "--repeats", 3, "--warmup", 0, "--counts")
    run(*one, "1-2")
    first = load_profile(saved)
    run(*one, "2")
    second = load_profile(saved)
    assert second.entry(1) == first.entry(1)
    assert second.entry(2) != first.entry(2)
    run(*one, "1-3", "--resume")
    third = load_profile(saved)
    assert third.entries[:2] == second.entries
    assert len(third.entries) == 3


def test_a_spent_budget_is_said(
    run: Run, loaded: list[Family], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not measured is not made up."""
    looks = iter(range(10))
    monkeypatch.setattr(
        "app.encoder.measuring.pacing.Timekeeper.is_over", lambda _: next(looks) >= 3
    )
    result = run("measure", "--counts", "1-3", "--warmup", 0, "--budget", 60)
    assert result.exit_code == 0
    assert "not complete" in result.stdout


def test_a_measurement_of_nothing_leaves_the_saved_profile_alone(
    run: Run, loaded: list[Family], saved: Path
) -> None:
    """It is an error that says so, and no file is written over the one that is there."""
    run("measure", "--counts", "1", "--repeats", 2, "--warmup", 0)
    before = saved.read_bytes()
    result = run("measure", "--counts", "1", "--budget", 0)
    assert result.exit_code == 1
    assert "nothing was measured" in result.stderr
    assert saved.read_bytes() == before


def test_an_output_that_cannot_be_is_refused_before_measuring(
    run: Run, loaded: list[Family], photo: Path
) -> None:
    """A measurement may take minutes, and must not end in a refusal."""
    for output in (photo, photo / "profile.json"):  # there is one; there can be none
        result = run("measure", "--output", output)
        assert result.exit_code == 2
        assert "--output" in result.stderr
    assert loaded == []


def test_analysing_reads_the_saved_profile(
    run: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By this device's conditions, and without a network; where there is none, it says how."""
    monkeypatch.setenv("CROP_PLANNER_DEVICE", "cpu")
    monkeypatch.setenv("CROP_PLANNER_DTYPE", "float32")
    arguments = ("analyze", photo, "--json")
    none = json.loads(run(*arguments).stdout)["latency"]
    assert none["source"] == "none"
    assert "crop-planner measure" in none["reason"]
    family = family_named("molmo-7b-d-0924")
    runtime = Eager(meta_backbone(family))
    here = profile_key(Encoder(family, runtime, CPU, torch.float32, "random"))
    known = replace(
        profile(entry(2, 3, 50.0)),
        device=here.device,
        threads=here.threads,
        versions={"python": "3", "torch": here.torch_version, "crop_planner": "0"},
    )
    save_profile(known, tmp_path / "profiles")
    latency = json.loads(run(*arguments).stdout)["latency"]
    assert (latency["source"], latency["vision_ms"]["p50"]) == ("profile", 51.0)
    assert latency["stages_ms"]["decode"] > 0


def test_analysing_measures_the_image(
    run: Run, loaded: list[Family], photo: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own crops, as often as asked, with the same stages as over HTTP."""
    monkeypatch.setattr(
        "app.serving.device.served_encoder.load_encoder",
        lambda family, **_: replace(encoder, family=family),
    )
    result = run("analyze", photo, "--latency", "measure", "--repeats", 2, "--json")
    assert result.exit_code == 0, result.output
    latency = json.loads(result.stdout)["latency"]
    assert (latency["source"], latency["vision_ms"]["samples"]) == ("measured", 2)
    assert latency["stages_ms"]["preprocess"] > 0


@pytest.mark.parametrize("option", [("--repeats", 3), ("--profile", __file__)])
def test_options_that_would_change_nothing_are_refused(
    run: Run, photo: Path, option: tuple[object, ...]
) -> None:
    """A number of passes without passes, a profile that is not read."""
    assert run("analyze", photo, "--latency", "none", *option).exit_code == 2
