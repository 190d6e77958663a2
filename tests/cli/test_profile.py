from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from app.core.plan.families import Family
from app.encoder.encoder import Encoder, PreparedCrops, StageTimes
from app.report.crop_overlap import JSON_FILE
from app.report.timing.timing_file import TIMING_FILE, read_timing
from tests.cli.conftest import Run

QUICK = ("--repeats", 2, "--warmup", 0)


@pytest.fixture
def folder(photo: Path) -> Path:
    """Photos of 2x3, 1x2 and 1x1 crops."""
    folder = photo.parent / "photos"
    folder.mkdir()
    photo.rename(folder / "rocket.jpg")
    with Image.open(folder / "rocket.jpg") as image:
        image.resize((504, 336)).save(folder / "middle.webp")
        image.resize((336, 224)).save(folder / "small.png")
    return folder


def test_a_folder_becomes_a_timing(
    run: Run, loaded: list[Family], folder: Path, tmp_path: Path
) -> None:
    """Every image with its crops and times, read as the experiment reads it; a row a count."""
    done = run("profile", folder, "-o", tmp_path / "out", *QUICK)
    assert done.exit_code == 0, done.output
    file = tmp_path / "out" / TIMING_FILE
    read = read_timing(file)
    assert [(one.image_id, one.num_crops) for one in read.results] == [
        ("middle", 3),
        ("rocket", 7),
        ("small", 2),
    ]
    assert all(one.row["vision_ms"]["samples"] == 2 for one in read.results)
    rows = [line.split() for line in done.stdout.splitlines() if line.lstrip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [["2", "1"], ["3", "1"], ["7", "1"]]
    assert str(file) in done.stdout
    assert "100 %, rounds" in done.stderr
    assert "skipped" not in done.stderr


def test_a_bad_image_is_reported_and_the_rest_goes_on(
    run: Run, loaded: list[Family], folder: Path, tmp_path: Path
) -> None:
    """One that is cut off, and one whose damage only decoding finds: exit code 3."""
    whole = (folder / "rocket.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray((folder / "small.png").read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (folder / "damaged.png").write_bytes(damaged)
    out = tmp_path / "mine.json"
    done = run("profile", folder, "-o", out, *QUICK, "--json")
    assert done.exit_code == 3
    assert "2 images skipped" in done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads(out.read_text())
    assert [one["name"] for one in content["skipped"]] == ["cut.jpg", "damaged.png"]
    for one in content["skipped"]:
        assert f"{one['name']}: {one['reason']}" in done.stderr
    assert len(content["results"]) == 3


def test_the_experiment_takes_it_from_there(
    run: Run, loaded: list[Family], folder: Path, tmp_path: Path
) -> None:
    """Its images are chosen of those that were timed, and its times are in the report."""
    out = tmp_path / "out"
    run("profile", folder, "-o", out, *QUICK, "--num-images", 2)
    done = run(
        *("experiment", folder, "--exp2", out / TIMING_FILE, "-o", out),
        *("--no-crops", "--workers", 1),
    )
    assert done.exit_code == 0, done.output
    found = json.loads((out / JSON_FILE).read_text())
    assert found["selection"]["agreement"] == {
        "counts_global_crop": True,
        "agreeing": 2,
        "compared": 2,
    }
    assert [one["total_crops"] for one in found["measured_ms"]] == [2, 7]
    assert all(one["vit"] > 0 for one in found["measured_ms"])


def test_an_earlier_timing_is_not_replaced_by_accident(
    run: Run, loaded: list[Family], folder: Path, tmp_path: Path
) -> None:
    """It is refused before anything is loaded, as measuring takes minutes."""
    file = tmp_path / TIMING_FILE
    file.write_text("mine")
    refused = run("profile", folder, "-o", tmp_path, *QUICK)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert file.read_text() == "mine"
    assert loaded == []
    assert run("profile", folder, "-o", tmp_path, *QUICK, "--force").exit_code == 0
    assert len(read_timing(file).results) == 3


@pytest.mark.parametrize("out", ["photos/rocket.jpg/below", "folder.json/"])
def test_a_place_that_cannot_be_written_to_is_refused_before_measuring(
    run: Run, loaded: list[Family], folder: Path, tmp_path: Path, out: str
) -> None:
    """Below a file, and in place of a folder."""
    (tmp_path / "folder.json" / TIMING_FILE).mkdir(parents=True)
    refused = run("profile", folder, "-o", tmp_path / out, *QUICK, "--force")
    assert refused.exit_code == 2
    assert "cannot be written" in refused.stderr
    assert loaded == []


def test_an_interrupt_leaves_nothing(
    run: Run,
    loaded: list[Family],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even a folder, in the middle of the rounds: exit code 130."""
    passes = []
    real = Encoder.run_timed

    def interrupted(self: Encoder, prepared: PreparedCrops) -> StageTimes:
        passes.append(prepared)
        if len(passes) == 6:
            raise KeyboardInterrupt
        return real(self, prepared)

    monkeypatch.setattr(Encoder, "run_timed", interrupted)
    before = sorted(tmp_path.rglob("*"))
    assert run("profile", folder, "-o", tmp_path / "out", *QUICK).exit_code == 130
    assert len(passes) == 6
    assert sorted(tmp_path.rglob("*")) == before


def test_where_no_image_can_be_timed_nothing_is_written(
    run: Run, loaded: list[Family], tmp_path: Path
) -> None:
    """With the first reason, before the encoder is loaded; as a problem object with --json."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "text.jpg").write_text("no image")
    done = run("profile", tmp_path / "photos", "-o", tmp_path / "out", *QUICK, "--json")
    assert done.exit_code == 2
    assert "text.jpg" in json.loads(done.stderr)["detail"]
    assert loaded == []
    assert not (tmp_path / "out").exists()


def test_the_margins_and_limits_of_the_plans_can_be_chosen(
    run: Run, loaded: list[Family], folder: Path, tmp_path: Path
) -> None:
    """They reach the plans, and the file says them."""
    done = run(
        *("profile", folder, "-o", tmp_path, *QUICK, "--json"),
        *("--max-crops", 2, "--overlap-margins", "2,2"),
    )
    content = json.loads(done.stdout)
    assert (content["config"]["max_crops"], content["config"]["overlap_margins"]) == (2, [2, 2])
    assert max(row["num_grid_crops"] for row in content["results"]) == 2
