from __future__ import annotations

from pathlib import Path

from support.profiles import entry, profile

from app.core.latency.profile_file import profile_to_json
from tests.cli.conftest import Run


def line_of(out: str, method: str, setting: str) -> list[str]:
    """The cells of one setting's line."""
    return next(line.split() for line in out.splitlines() if line.split()[:2] == [method, setting])


def test_a_person_sees_every_method_with_what_it_needs(run: Run) -> None:
    """Tokens and work beside those of the current plan, and one sentence a method."""
    out = run("methods", "640x480", "--target-tokens", 600).stdout
    assert line_of(out, "max_crops", "12") == [
        *("max_crops", "12", "2x3", "7", "42.9%", "×1.166", "740", "1.00", "2,629", "1.00"),
        *("nothing", "current"),
    ]
    assert line_of(out, "resize", "560x420")[-2:] == ["image", "best"]
    assert line_of(out, "overlap_margins", "8,10*")[-2:] == ["processor", "best"]
    assert line_of(out, "crop_size_px", "448*")[-1] == "model"
    assert "quality of any other is unknown" in out


def test_a_plan_within_the_target_is_best_as_it_is(run: Run) -> None:
    """There is nothing to change then."""
    out = run("methods", "640x480", "--target-crops", 6).stdout
    assert line_of(out, "resize", "640x480")[-2:] == ["nothing", "best"]
    assert out.count("best") == 4


def test_latencies_of_a_profile(run: Run, tmp_path: Path) -> None:
    """In columns of their own, for the plans the profile is of."""
    file = tmp_path / "profile.json"
    file.write_text(profile_to_json(profile(entry(2, 2, 50.0))))
    out = run("methods", "640x480", "--profile", file).stdout
    assert "51.0" in line_of(out, "max_crops", "4")
    assert "–" in line_of(out, "crop_size_px", "448*")
    assert "p50" not in run("methods", "640x480").stdout


def test_two_targets_are_refused(run: Run) -> None:
    result = run("methods", "640x480", "--target-crops", 4, "--target-tokens", 600)
    assert result.exit_code == 2
    assert "not both" in result.stderr
