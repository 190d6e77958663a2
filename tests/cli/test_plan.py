from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.profiles import entry, profile

from app.cli.predictions import NO_PROFILE
from app.core.latency.latency import Latency
from app.core.latency.profile_file import profile_to_json
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.schemas.answer import to_json
from app.schemas.plan import PlanAnswer
from tests.cli.conftest import Run


def test_json_is_the_answer_itself(run: Run) -> None:
    """Every option reaches the configuration, and stdout holds the answer and nothing else."""
    result = run(
        *("plan", "1200x900", "--model", "molmo2-4b", "--max-crops", 6),
        *("--overlap-margins", "2,4", "--crop-size-px", 336, "--json"),
    )
    config = make_config(
        family_named("molmo2-4b"), max_crops=6, overlap_margins=(2, 4), crop_size_px=336
    )
    planned = make_plan(Size(1200, 900), config)
    expected = PlanAnswer.of(planned, Latency("none", NO_PROFILE))
    assert result.exit_code == 0
    assert result.stdout == to_json(expected).decode() + "\n"
    assert result.stderr == ""


def test_a_person_sees_the_plan(run: Run) -> None:
    """Tiling, tokens, headroom and the size of each count, in whole lines where it is piped."""
    out = run("plan", "640x480").stdout
    for told in ("2 rows, 3 columns: 6 crops, 7 with", "740 = patch 704", "-79 to +144 px"):
        assert told in out
    assert "2x2     560x420   fit" in out
    assert "\x1b" not in out


def test_headroom_without_end_is_any(run: Run) -> None:
    """One crop at most: no size changes the tiling."""
    assert "width any, height any" in run("plan", "640x480", "--max-crops", 1).stdout


def test_the_model_of_the_settings_is_the_default(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the service; an option goes before it."""
    monkeypatch.setenv("CROP_PLANNER_MODEL", "molmo2-8b")
    assert json.loads(run("plan", "9x9", "--json").stdout)["model"] == "molmo2-8b"
    result = run("plan", "9x9", "--json", "--model", "molmoe-1b-0924")
    assert json.loads(result.stdout)["model"] == "molmoe-1b-0924"


def test_a_named_profile_gives_the_latency(run: Run, tmp_path: Path) -> None:
    """The entry of just that number of crops; others have none."""
    file = tmp_path / "profile.json"
    file.write_text(profile_to_json(profile(entry(2, 3, 50.0))))
    answer = json.loads(run("plan", "640x480", "--profile", file, "--json").stdout)
    assert answer["latency"]["vision_ms"]["p50"] == 51.0
    assert "p50 51.0 ms" in run("plan", "640x480", "--profile", file).stdout
    assert "none: a total of 5 crops" in run("plan", "560x560", "--profile", file).stdout


def test_the_profile_of_the_environment_is_used(
    run: Run, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every command that gives a latency from a profile; one that is named goes before it."""
    named, other = tmp_path / "named.json", tmp_path / "other.json"
    named.write_text(profile_to_json(profile(entry(2, 3, 50.0))))
    other.write_text(profile_to_json(profile(entry(2, 3, 70.0))))
    monkeypatch.setenv("CROP_PLANNER_PROFILE", str(other))
    for command in (("plan", "640x480"), ("analyze", photo)):
        for options, p50 in (((), 71.0), (("--profile", named), 51.0)):
            answer = json.loads(run(*command, *options, "--json").stdout)
            assert answer["latency"]["vision_ms"]["p50"] == p50
    monkeypatch.setenv("CROP_PLANNER_PROFILE", str(tmp_path / "absent.json"))
    refused = run("plan", "640x480", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stderr)["type"].endswith("invalid-profile")


@pytest.mark.parametrize(
    "command",
    [
        "['plan', '640x480']",
        "['methods', '640x480']",
        "['lut', '--aspect', '4:3']",
        "['lut', '--csv']",
        "['resize', 'docs/samples/rocket.jpg', '--target-crops', '4', '--dry-run']",
        "['analyze', 'docs/samples/rocket.jpg', '--latency', 'none']",
        "['measure', '--compare', 'FILE', 'FILE']",
    ],
)
def test_planning_starts_without_torch_and_web(command: str, tmp_path: Path) -> None:
    """They take seconds to import, and a plan takes none; nor does comparing two profiles."""
    file = tmp_path / "profile.json"
    file.write_text(profile_to_json(profile(entry(2, 3, 50.0))))
    command = command.replace("FILE", str(file))
    code = (
        f"import sys; sys.argv = ['crop-planner', *{command}]\n"
        "import atexit; atexit.register(lambda: print({'torch', 'fastapi'} & set(sys.modules)))\n"
        "from app.cli import main; main()"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("set()\n")


def test_it_runs_as_a_module() -> None:
    """``python -m app.cli`` is the same command."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "--version"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("crop-planner ")
