"""A command line whose settings and files are a test's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from app.cli.application import app
from app.core.plan.families import Family

if TYPE_CHECKING:
    from app.encoder.encoder import Encoder

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


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """With a small network; late, as most commands need no torch."""
    from support.encoders import small_encoder

    return small_encoder()


@pytest.fixture
def loaded(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[Family]:
    """Puts that encoder in place of the real one; the families that were asked for."""
    import torch

    asked = []

    def load(family: Family, **options: object) -> Encoder:
        asked.append(family)
        return replace(encoder, family=family)

    monkeypatch.setenv("CROP_PLANNER_DEVICE", "cpu")
    monkeypatch.setenv("CROP_PLANNER_THREADS", str(torch.get_num_threads()))
    monkeypatch.setattr("app.encoder.loading.load_encoder", load)
    return asked
