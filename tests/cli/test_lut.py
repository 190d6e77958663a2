from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import typer
from support.profiles import entry, profile

from app.cli.inputs import parse_aspect, parse_counts
from app.core.latency.profile_file import profile_to_json
from app.core.plan.geometry import Size
from app.schemas.lut_csv import lut_csv
from app.schemas.resize import LutAnswer
from tests.cli.conftest import Run


def test_json_is_the_whole_table(run: Run) -> None:
    """Every factorisation of every count, and no profile that was not named."""
    result = run("lut", "--max-crops", 4, "--json")
    answer = LutAnswer.model_validate_json(result.stdout)
    assert [row.target_crops for row in answer.rows] == [1, 2, 3, 4]
    assert [(o.rows, o.cols) for o in answer.rows[3].options] == [(1, 4), (2, 2), (4, 1)]
    assert answer.profile is None


def test_a_person_sees_the_best_of_each_count(run: Run) -> None:
    """One line a count; all of them on demand."""
    best = run("lut", "--max-crops", 4, "--aspect", "4:3").stdout
    assert "2x2" in best
    assert "560x420" in best
    assert "4x1" not in best
    assert "4x1" in run("lut", "--max-crops", 4, "--all").stdout


def test_sizes_of_one_image(run: Run) -> None:
    """With the scale that makes them of it."""
    out = run("lut", "--size", "640x480").stdout
    assert "640x480" in out
    assert "×1.000" in out
    assert run("lut", "--size", "640x480", "--aspect", "4:3").exit_code == 2


def test_interpolated_latencies_are_marked(run: Run, tmp_path: Path) -> None:
    """Of three counts on a CPU: what lies between them, and only that."""
    file = tmp_path / "profile.json"
    file.write_text(profile_to_json(profile(*(entry(1, n, 10.0 * n) for n in (1, 2, 4)))))
    out = run("lut", "--max-crops", 4, "--profile", file).stdout
    assert "~: between measured numbers of crops" in out
    rows = [
        line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0].isdigit()
    ]
    assert {row[0]: "~" in row[-1] for row in rows} == {
        "1": False, "2": False, "3": True, "4": False,
    }  # fmt: skip


def test_latencies_of_a_profile(run: Run, tmp_path: Path) -> None:
    """In their own columns, with what they were measured on."""
    file = tmp_path / "profile.json"
    file.write_text(profile_to_json(profile(entry(1, 1, 20.0))))
    out = run("lut", "--max-crops", 2, "--profile", file).stdout
    assert "a device, float32, random weights" in out
    assert "21.0" in out
    answer = json.loads(run("lut", "--profile", file, "--json").stdout)
    assert answer["rows"][0]["options"][0]["latency"]["vision_ms"]["p50"] == 21.0


def test_csv_is_the_csv_of_the_same_table(run: Run, tmp_path: Path) -> None:
    """Every tiling, with the latencies of a profile, and nothing else on stdout."""
    file = tmp_path / "profile.json"
    file.write_text(profile_to_json(profile(entry(1, 1, 20.0))))
    arguments = ("lut", "--max-crops", 4, "--aspect", "4:3", "--profile", file)
    result = run(*arguments, "--csv")
    answer = LutAnswer.model_validate_json(run(*arguments, "--json").stdout)
    assert result.stdout_bytes.decode() == lut_csv(answer)
    first = next(csv.DictReader(io.StringIO(result.stdout, newline="")))
    assert (first["vision_p50_ms"], first["device"]) == ("21.0", "a device")
    assert run(*arguments, "--csv", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("text", "size"), [("4:3", Size(4, 3)), ("1.5", Size(3, 2)), ("16:10", Size(8, 5))]
)
def test_aspects(text: str, size: Size) -> None:
    """In lowest terms."""
    assert parse_aspect(text) == size


@pytest.mark.parametrize("text", ["0", "4:0", "a", "4:", "1:2:3", "-1", ""])
def test_what_is_no_aspect(text: str) -> None:
    """Refused with an example of one."""
    with pytest.raises(typer.BadParameter, match="4:3"):
        parse_aspect(text)


def test_counts() -> None:
    """Numbers and ranges, each once; from the global crop alone up."""
    assert parse_counts("1-3, 8,2") == (1, 2, 3, 8)
    assert parse_counts("64-65") == (64, 65)  # 64 grid crops and the global one
    for text in ("0-3", "3-1", "", "x", "66"):
        with pytest.raises(typer.BadParameter):
            parse_counts(text)
