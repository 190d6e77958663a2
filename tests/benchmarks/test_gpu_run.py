from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu import GRACE_S, MOST_S, OVERHEAD_S, ROOT, STEPS, Run, Step, chosen, pack

ORDINARY = chosen([])
SAVES = """
import os, pathlib, sys, time
from benchmarks import timing
timing.save(sys.argv[1], {"cells": 1})
print("saved", flush=True)
"""


def python(name: str, code: str, limit_s: int = 60, **more: object) -> Step:
    """A step that runs some code; its arguments are the name, and what follows it."""
    return Step(name, limit_s, (sys.executable, "-c", code, name), told=False, **more)


def names_in(archive: Path) -> set[str]:
    with tarfile.open(archive) as packed:
        return {Path(name).name for name in packed.getnames()}


def test_the_whole_fits_into_a_run_on_the_machine() -> None:
    """Though every step were killed at its limit; and each is told less than that."""
    assert sum(step.limit_s for step in ORDINARY) + OVERHEAD_S < MOST_S
    for step in ORDINARY:
        arguments = step.arguments(quick=False, slower=1, results=Path("results"))
        if step.told:
            told = int(arguments[arguments.index("--budget-s") + 1])
            assert 0 < told == step.limit_s - GRACE_S


def test_what_decides_comes_first() -> None:
    """And what torch.compile makes is in steps of its own."""
    names = [step.name for step in ORDINARY]
    first = ["machine", "probe", "tests", "fidelity", "encoder"]
    assert names == [*first, "compiled", "reduce-overhead", "profile", "serving"]
    commands = {step.name: " ".join(step.command) for step in ORDINARY}
    assert "--not-compiled" in commands["encoder"]
    for name in ("compiled", "reduce-overhead"):
        assert f"--name {name}" in commands[name]
        assert commands[name].endswith(f"--only ours transformers, {name}")


def test_steps_can_be_chosen() -> None:
    """In their own order; one that is not there ends it, and says what there is."""
    assert [step.name for step in chosen(["serving", "encoder"])] == ["encoder", "serving"]
    assert [step.name for step in chosen(["our-compiled"])] == ["our-compiled"]
    with pytest.raises(SystemExit, match="no step probes; there are machine, probe"):
        chosen(["probes"])


@pytest.mark.parametrize("step", [step for step in STEPS if step.told], ids=lambda step: step.name)
def test_a_step_takes_the_budget_that_it_is_told(step: Step) -> None:
    """Its module has the option."""
    module = Path(ROOT, *step.command[2].split(".")).with_suffix(".py")
    assert '"--budget-s"' in module.read_text(encoding="utf-8")


def test_only_what_is_new_comes_home(tmp_path: Path) -> None:
    """Results that were there before are not in the archive; new ones are kept beside them."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "old.json").write_text("{}")
    run = Run(tmp_path, out=tmp_path / "out", kept=kept)
    run.take(python("new", SAVES))
    assert names_in(tmp_path / "out" / "results.tar.gz") == {"new.json", "new.txt", "steps.txt"}
    assert {path.name for path in kept.iterdir()} == {"old.json", "new.json"}
    assert json.loads((kept / "new.json").read_text())["cells"] == 1
    assert not run.failed


def test_the_archive_is_renewed_after_each_step(tmp_path: Path) -> None:
    """One that fails stops no other, and is told."""
    archive = tmp_path / "out" / "results.tar.gz"
    run = Run(tmp_path, out=archive.parent)
    run.take(python("first", SAVES + "sys.exit(3)"))
    assert {"first.json", "first.txt"} < names_in(archive)
    run.take(python("second", SAVES))
    assert {"first.json", "second.json"} < names_in(archive)
    assert run.failed
    assert [said.partition(",")[0] for said in run.told] == ["first: FAILED (3)", "second: ok"]


def test_a_step_that_is_killed_leaves_what_it_saved(tmp_path: Path) -> None:
    """Its result and what it printed are in the archive."""
    run = Run(tmp_path, out=tmp_path / "out")
    run.take(python("stuck", SAVES + "time.sleep(600)", limit_s=5))
    assert run.told[0].startswith("stuck: KILLED at its limit")
    archive = tmp_path / "out" / "results.tar.gz"
    assert "stuck.json" in names_in(archive)
    with tarfile.open(archive) as packed:
        log = packed.extractfile("logs/stuck.txt")
        assert log is not None
        assert log.read() == b"saved\n"
    assert run.failed


def test_a_step_without_its_packages_is_left_out(tmp_path: Path) -> None:
    """It says so, and is no failure: the rest needs torch alone."""
    run = Run(tmp_path)
    run.take(python("serving", SAVES, carried=("json", "no_such_package")))
    assert "LEFT OUT" in run.told[0]
    assert "wheels.sh" in run.told[0]
    assert not run.failed


def test_an_archive_that_would_be_too_large_leaves_out_the_largest(tmp_path: Path) -> None:
    """And says which; the rest is there."""
    files = tmp_path / "files"
    files.mkdir()
    photo = ROOT / "docs" / "samples" / "rocket.jpg"  # no compression makes it smaller
    (files / "large").write_bytes(photo.read_bytes())
    (files / "small").write_bytes(b"small")
    left_out = pack([files], tmp_path / "archive.tar.gz", most_bytes=20_000)
    assert [path.name for path in left_out] == ["large"]
    assert names_in(tmp_path / "archive.tar.gz") == {"small"}


def test_a_dry_run_is_told_more_time_on_a_cpu() -> None:
    """The same factor for limit and budget."""
    step = next(step for step in STEPS if step.name == "encoder")
    arguments = step.arguments(quick=True, slower=gpu.TIMES_LONGER, results=Path("results"))
    assert str((step.limit_s - GRACE_S) * gpu.TIMES_LONGER) in arguments
    assert "--tiny" in arguments
