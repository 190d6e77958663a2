"""A command line whose settings and files are a test's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.application import app

PHOTO = Path(__file__).parents[2] / "docs" / "samples" / "rocket.jpg"
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No profile of this machine, no colours, a terminal of no width."""
    monkeypatch.setenv("CROP_PLANNER_PROFILE_FOLDER", str(tmp_path / "profiles"))
    monkeypatch.delenv("CROP_PLANNER_PROFILE", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def run() -> Run:
    """Runs ``crop-planner`` with these arguments."""

    def runs(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return runs


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 640x427 px, which gets 2x3 crops."""
    return Path(shutil.copy(PHOTO, tmp_path / "photo.jpg"))
