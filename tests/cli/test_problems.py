from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.application import exit_code, status_of
from app.cli.terminal import printable
from app.core.errors import CropPlannerError
from app.http.problems import STATUS
from app.report.errors import DatasetError
from tests.cli.conftest import Run


@pytest.mark.parametrize("kind", STATUS)
def test_exit_codes_follow_the_statuses(kind: type[CropPlannerError]) -> None:
    """2 is for what the caller can put right: 4xx, but for a queue that was full."""
    by_caller = STATUS[kind] < 500 and STATUS[kind] != 429
    assert exit_code(kind("")) == (2 if by_caller else 1)


@pytest.mark.parametrize("kind", DatasetError.__subclasses__())
def test_errors_of_data_sets_are_usage_errors_and_documented(kind: type[CropPlannerError]) -> None:
    """The service never raises these errors, so the page gives no status of HTTP."""
    assert (exit_code(kind("")), status_of(kind(""))) == (2, 422)
    rows = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text().splitlines()
    assert any(f"`{kind.slug}` | none |" in row for row in rows)


def test_an_unknown_model_is_told_with_the_known_ones(run: Run) -> None:
    """One line on stderr, and no traceback."""
    result = run("plan", "640x480", "--model", "gpt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Unknown model: unknown model 'gpt'; known are molmo-7b-d")
    assert result.stderr.count("\n") == 1


def test_json_errors_are_the_problem_of_http(run: Run) -> None:
    """Type, status and facts; nothing on stdout, where a program expects an answer."""
    result = run("plan", "640x480", "--model", "gpt", "--json")
    problem = json.loads(result.stderr)
    assert (result.exit_code, result.stdout) == (2, "")
    assert problem["type"] == "urn:crop-planner:problem:unknown-model"
    assert (problem["status"], problem["actual"]) == (422, "gpt")


@pytest.mark.parametrize("arguments", [("plan", "640"), ("plan", "6x6", "--bogus"), ("plan",)])
def test_usage_errors_are_problems_too(run: Run, arguments: tuple[str, ...]) -> None:
    """Words and exit code 2; with --json the problem HTTP gives to such parameters."""
    told = run(*arguments)
    assert told.exit_code == 2
    assert "Error" in told.stderr
    result = run(*arguments, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["type"] == "urn:crop-planner:problem:invalid-parameters"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none.jpg", "does not exist"), (".", "is a directory"), ("text.jpg", "not a JPEG, PNG")],
)
def test_files_that_are_no_image(run: Run, tmp_path: Path, name: str, reason: str) -> None:
    """Each says what it is instead."""
    (tmp_path / "text.jpg").write_text("not an image")
    result = run("analyze", tmp_path / name, "--latency", "none")
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.replace("│", " ").split())


def test_limits_of_the_settings_hold_for_files(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service would refuse is refused here, by the same error."""
    monkeypatch.setenv("CROP_PLANNER_MAX_PIXELS", "1000")
    assert "Too many pixels" in run("analyze", photo, "--latency", "none").stderr
    monkeypatch.setenv("CROP_PLANNER_MAX_UPLOAD_BYTES", "1000")
    assert "Too many bytes" in run("analyze", photo, "--latency", "none").stderr


def test_a_setting_that_cannot_be_used_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable, as that is what must be changed."""
    monkeypatch.setenv("CROP_PLANNER_PORT", "x")
    result = run("plan", "640x480")
    assert result.exit_code == 2
    assert "CROP_PLANNER_PORT=x" in result.stderr


def test_a_broken_profile_is_a_failure(run: Run, tmp_path: Path) -> None:
    """Not the fault of the arguments: exit code 1."""
    file = tmp_path / "profile.json"
    file.write_text("{}")
    assert run("lut", "--profile", file).exit_code == 1


def test_a_terminal_gets_no_escape_sequences(run: Run, tmp_path: Path) -> None:
    """Details name files of others, whose names hold anything."""
    assert printable("a\x1b[31m\nb ü") == "a\ufffd[31m\ufffdb ü"
    (tmp_path / "a\x1b[2J\n.jpg").write_text("no image")
    result = run("experiment", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "the first is a\ufffd[2J\ufffd.jpg: the bytes are not" in result.stderr
    assert "\x1b" not in result.stderr
