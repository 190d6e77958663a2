from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.report.crop_overlap import JSON_FILE, REPORT_FILE
from tests.cli.conftest import Run


@pytest.fixture
def folder(photo: Path) -> Path:
    """A folder with one photo in it."""
    folder = photo.parent / "photos"
    folder.mkdir()
    photo.rename(folder / photo.name)
    return folder


def test_a_folder_becomes_a_report(run: Run, folder: Path, tmp_path: Path) -> None:
    """Findings on the terminal, and where the report is; the options reach the analysis."""
    out = tmp_path / "out"
    done = run("experiment", folder, "-o", out, "--no-crops", "--max-crops", 4, "--workers", 1)
    assert done.exit_code == 0, done.output
    assert "4 grid crops and the global one, 5 in all: the one image" in done.stdout
    assert "No image gets 12 grid crops; nearest are 4." in done.stdout
    assert str(out / REPORT_FILE) in done.stdout
    assert not (out / "crops").exists()
    assert json.loads((out / JSON_FILE).read_text())["config"]["max_crops"] == 4


def test_an_image_that_is_skipped_shows_in_the_exit_code(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    """Everything else is there; with --json only JSON is on stdout."""
    (folder / "text.jpg").write_text("no image")
    out = tmp_path / "out"
    done = run("experiment", folder, "-o", out, "--no-crops", "--json")
    assert done.exit_code == 3
    assert "text.jpg: the bytes are not a JPEG" in done.stderr
    assert json.loads(done.stdout) == json.loads((out / JSON_FILE).read_text())


def test_an_earlier_run_is_not_replaced_by_accident(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / JSON_FILE).write_text("mine")
    refused = run("experiment", folder, "-o", out, "--no-crops")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert (out / JSON_FILE).read_text() == "mine"
    assert run("experiment", folder, "-o", out, "--no-crops", "--force").exit_code == 0


def test_a_folder_without_images_is_an_error(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("experiment", empty, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "no image" in done.stderr
