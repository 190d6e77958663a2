"""``crop-planner adapt``: the service's decision, and the file it comes to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from support.fakes import fake_profile

from app.core.latency.profile_file import profile_to_json
from tests.cli.conftest import Run


@pytest.fixture
def timings(tmp_path: Path) -> Path:
    """A profile of up to 13 crops in all, 10 ms each."""
    file = tmp_path / "profile.json"
    file.write_text(profile_to_json(fake_profile(13)))
    return file


def test_the_file_keeps_the_budget(run: Run, photo: Path, timings: Path) -> None:
    """Beside the image by default, of just the size that was decided."""
    result = run("adapt", photo, "--latency-budget-ms", 52, "--profile", timings, "--json")
    assert result.exit_code == 0, result.stderr
    decision = json.loads(result.stdout)["decision"]
    assert decision["latency_ms"] <= 52
    assert (decision["mode"], decision["tiling"]["crops"]) == ("fit", 4)
    with Image.open(photo.with_name("photo.4crops.jpg")) as image:
        assert image.size == (decision["width"], decision["height"])


def test_the_tables_say_why(run: Run, photo: Path, timings: Path) -> None:
    """And list what was weighed; a dry run writes nothing."""
    result = run(
        "adapt", photo, "--latency-budget-ms", 52, "--profile", timings, "--dry-run",
        "--quality-threshold", 0.999,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = " ".join(result.stdout.split())
    assert "max_crops → 640x427 px, with max_crops=4" in told
    assert "has an SSIM of 0.999" in told
    assert "unchanged 2x3 640x427" in told
    assert list(photo.parent.glob("photo.*crops*")) == []


def test_an_image_within_the_budget_is_copied(run: Run, photo: Path) -> None:
    """Byte for byte, without a profile, as tokens need none."""
    assert run("adapt", photo, "--max-tokens", 740).exit_code == 0
    assert photo.with_name("photo.6crops.jpg").read_bytes() == photo.read_bytes()


def test_prefill_counts_where_it_is_given(
    run: Run, photo: Path, timings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the option, or by the setting."""
    asked = ("adapt", photo, "--latency-budget-ms", 100, "--profile", timings, "--dry-run")
    alone = json.loads(run(*asked, "--json").stdout)["decision"]
    assert alone["mode"] == "unchanged"
    option = run(*asked, "--prefill-ms-per-token", 0.1, "--json")
    monkeypatch.setenv("CROP_PLANNER_PREFILL_MS_PER_TOKEN", "0.1")
    setting = run(*asked, "--json")
    assert json.loads(option.stdout)["decision"] == json.loads(setting.stdout)["decision"]
    assert json.loads(option.stdout)["decision"]["prompt_tokens"] < alone["prompt_tokens"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "latency_budget_ms"),
        (("--max-tokens", 600, "--modes", "fit,auto"), "modes"),
        (("--max-tokens", 100), "nothing keeps 100 prompt tokens"),
        (("--max-tokens", 600, "--prefill-base-ms", 3), "prefill_ms_per_token"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, photo: Path, options: tuple[object, ...], told: str
) -> None:
    """With exit code 2, and no file."""
    result = run("adapt", photo, *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert list(photo.parent.glob("photo.*crop*")) == []
