from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.profiles import entry_of, full_profile, profile

from app.core.latency.profile import Profile
from app.core.latency.profile_file import profile_to_json
from app.schemas.profile import ProfileComparisonAnswer
from tests.cli.conftest import Run

SLOW, FAST = (12.0, 12.1, 12.2) * 3, (10.0, 10.1, 10.2) * 3


@pytest.fixture
def write(tmp_path: Path):
    """Writes a profile under a name."""

    def written(name: str, what: Profile) -> Path:
        file = tmp_path / name
        file.write_text(profile_to_json(what))
        return file

    return written


@pytest.fixture
def files(write) -> tuple[Path, Path]:
    """A is slower at 2 crops and not at 1; only B measured 3."""
    a = profile(entry_of(0, 0, FAST), entry_of(1, 1, SLOW))
    b = profile(entry_of(0, 0, FAST), entry_of(1, 1, FAST), entry_of(1, 2, FAST))
    return write("a.json", a), write("b.json", replace(b, runtime="packed"))


def rows(stdout: str) -> dict[str, str]:
    """The rows of a table by their first cell."""
    return {line.split()[0]: line for line in stdout.splitlines() if line.strip()}


def test_a_difference_is_printed_where_it_is_shown(run: Run, files: tuple[Path, Path]) -> None:
    """And beside it what may explain it; counts that only one has are not there."""
    result = run("measure", "--compare", *files)
    assert result.exit_code == 0, result.output
    told = rows(result.stdout)
    assert "12.10" in told["2"]
    assert "1.198" in told["2"]
    assert "A takes longer" in told["2"]
    assert "takes longer" not in told["1"]
    assert "3" not in told
    assert told["runtime"].split() == ["runtime", "eager", "packed"]
    assert "fewer than" not in result.stdout


def test_json_is_the_comparison(run: Run, files: tuple[Path, Path]) -> None:
    """The same figures with their verdicts, for programs."""
    answer = ProfileComparisonAnswer.model_validate_json(
        run("measure", "--compare", *files, "--json").stdout
    )
    assert [(count.total_crops, count.differs) for count in answer.counts] == [(1, 0), (2, 1)]
    assert answer.counts[1].verdict.startswith("A takes 1.198x")
    assert [one.name for one in answer.differences] == ["runtime"]


def test_a_contended_profile_is_quoted_with_its_minima(run: Run, write) -> None:
    """Medians of a busy machine say little; that it was busy is said first."""
    contended = full_profile()
    calm = replace(contended, contended=None)
    args = ("measure", "--compare", write("a.json", contended), write("b.json", calm))
    out = run(*args).stdout
    assert f"A is in doubt: {contended.contended}" in out
    assert "B is in doubt" not in out
    assert out.count("A min") == out.count("B CPU") == 1
    assert rows(out)["7"].split()[-4:] == ["20.00", "20.00", "5.750", "5.750"]


def test_too_few_passes_show_nothing(run: Run, write) -> None:
    """However far apart, and it is said which counts those are."""
    a, b = (profile(entry_of(1, 1, samples)) for samples in (SLOW[:5], FAST[:5]))
    out = run("measure", "--compare", write("a.json", a), write("b.json", b)).stdout
    assert "takes longer" not in out
    assert "fewer than 6 passes show nothing: 2 crops in all" in out


def test_what_is_no_profile_is_refused_by_name(run: Run, files, tmp_path: Path) -> None:
    """Another file, and a profile of an older version, which is to be measured again."""
    other = tmp_path / "other.json"
    for text, reason in (("{}", "no profile"), ('{"schema_version": 1}', "measure again")):
        other.write_text(text)
        result = run("measure", "--compare", files[0], other)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "other.json" in result.stderr
        assert reason in result.stderr


def test_profiles_without_a_common_count_are_refused(run: Run, files, write) -> None:
    """There is nothing to print."""
    other = write("other.json", profile(entry_of(2, 2, FAST)))
    result = run("measure", "--compare", files[0], other, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no number of crops" in json.loads(result.stderr)["detail"]


@pytest.mark.parametrize("option", [("--warmup", 2), ("--resume",), ("--counts", "1-2")])
def test_options_of_measuring_are_refused(run: Run, files, option: tuple[object, ...]) -> None:
    """Comparing measures nothing, so they would change nothing."""
    result = run("measure", "--compare", *files, *option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert str(option[0]) in result.stderr
