"""Run everything that needs a GPU, step by step, for ``benchmarks/gpu.sh``.

Every step gets a budget, keeps to the budget, and saves its results on the way. The limit of a
step is the last resort. A failed or killed step is listed at the end and stops no other step.
Python and torch suffice for all steps but serving. Serving takes its packages from ``wheels/``,
filled by ``benchmarks/wheels.sh``, and the profile takes nvidia-ml-py and psutil from there.
Without these two the profile records neither the GPU's clocks, power and temperature nor stolen CPU
time.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

ROOT = Path(__file__).parents[1]
WHEELS = ROOT / "wheels"
KEPT = ROOT / "benchmarks" / "results"
MOST_ARCHIVE_BYTES = 16 * 2**20
MOST_S = 540
"""The limit of all steps together. A run on the machine ends after 600 s."""
OVERHEAD_S = 20
"""The part for unpacking wheels and packing the archive."""
GRACE_S = 8
"""The time from a step's budget to its limit, for importing torch and for the last pass."""
TIMES_LONGER = 6
"""The factor of all limits in a dry run on a CPU."""


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one command.

    Attributes:
        limit_s: the command is killed after so many seconds.
        command: arguments of Python, or a program.
        quick: further arguments in a dry run.
        told: the command takes ``--budget-s``.
        carried: the step uses ``wheels/``, and is left out without these modules.
        helped: the step uses ``wheels/`` if they are there.
        by_name: the step runs only by its name.
    """

    name: str
    limit_s: int
    command: tuple[str, ...]
    quick: tuple[str, ...] = ()
    told: bool = True
    carried: tuple[str, ...] = ()
    helped: bool = False
    by_name: bool = False

    def arguments(self, *, quick: bool, slower: int, results: Path) -> list[str]:
        """Return the whole command line."""
        words = [word.replace("{results}", str(results)) for word in self.command]
        if self.told:
            words += ["--budget-s", str((self.limit_s - GRACE_S) * slower)]
        return [*words, *(self.quick if quick else ())]


def benchmark(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a module in this package."""
    return (sys.executable, "-m", f"benchmarks.{name}", *arguments)


MACHINE = (
    f"nvidia-smi; nproc; {sys.executable} -m pip list 2>/dev/null"
    " | grep -iE '^(torch|triton|transformers|timm|numpy|pillow|safetensors) '"
    # So that no later step is the first to read gigabytes of libraries.
    f"; {sys.executable} -c 'import torch; print(torch.zeros(1, device=\"cuda\"))'"
)
ALL_COUNTS = ("1", "4", "7", "9", "12", "13")
# torch compiles for the first count alone, then at the second count for all numbers of crops.
COMPILED = ("--counts", *reversed(ALL_COUNTS), "--only", "ours")
TINY = ("--tiny", "--counts", "1", "2")

STEPS = (
    Step("machine", 25, ("bash", "-c", MACHINE), told=False),
    Step("probe", 80, benchmark("probe"), ("--dry",)),
    Step(
        "tests",
        80,
        # The project's configuration and fixtures would need more than pytest.
        (
            *(sys.executable, "-m", "pytest", "-v", "-c", os.devnull, "--rootdir", "."),
            *("--noconftest", "-p", "no:cacheprovider", "tests/encoder/test_cuda.py"),
        ),
        told=False,
        carried=("pytest",),
    ),
    Step("fidelity", 30, benchmark("fidelity"), TINY),
    Step(
        "encoder",
        104,
        benchmark("encoder", "--not-compiled"),
        (*TINY, "--rounds", "2"),
    ),
    Step(
        "compiled",
        52,
        benchmark("encoder", "--name", "compiled", *COMPILED, "transformers, compiled"),
        (*TINY, "--rounds", "2"),
    ),
    Step(
        "reduce-overhead",
        50,
        benchmark(
            "encoder", "--name", "reduce-overhead", *COMPILED, "transformers, reduce-overhead"
        ),
        (*TINY, "--rounds", "2"),
    ),
    Step(
        "profile",
        36,
        benchmark("profile", "--out", "{results}"),
        (*TINY, "--repeats", "2"),
        helped=True,
    ),
    Step(
        "serving",
        61,
        benchmark("throughput", "--seconds", "6"),
        (
            *("--tiny", "--batches", "1", "2", "--passes", "1", "--rounds", "2"),
            *("--clients", "4", "--processes", "2", "--seconds", "2"),
        ),
        carried=("fastapi", "httpx", "pydantic", "pydantic_settings", "typer", "uvicorn"),
    ),
    Step(
        "our-compiled",
        100,
        benchmark("encoder", "--name", "our-compiled", *COMPILED, "compiled"),
        by_name=True,
    ),
)


def main() -> None:
    """Run the steps named in the environment; exit with code 1 if a step failed."""
    on_cpu, quick = os.environ.get("DEVICE") == "cpu", bool(os.environ.get("QUICK"))
    steps = chosen(os.environ.get("STEPS", "").split())
    out = Path(os.environ["OUT"]) if os.environ.get("OUT") else None
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), out=out, kept=None if quick else KEPT, on_cpu=on_cpu, quick=quick)
        run.install(WHEELS)
        for step in steps:
            run.take(step)
        run.tell()
        sys.exit(1 if run.failed else 0)


def chosen(names: Sequence[str], steps: Sequence[Step] = STEPS) -> list[Step]:
    """Return the steps of these names in their own order, or those of an ordinary run."""
    unknown = set(names) - {step.name for step in steps}
    if unknown:
        there = ", ".join(step.name for step in steps)
        sys.exit(f"no step {', '.join(sorted(unknown))}; there are {there}")
    return [step for step in steps if (step.name in names if names else not step.by_name)]


class Run:
    """Run steps, and collect their results and logs.

    Args:
        folder: an empty folder for the results and logs of this run.
        out: the folder for ``results.tar.gz``, renewed after each step; None makes no archive.
        kept: a second folder for the results; None leaves them to the archive.
    """

    def __init__(
        self,
        folder: Path,
        *,
        out: Path | None = None,
        kept: Path | None = None,
        on_cpu: bool = False,
        quick: bool = False,
    ) -> None:
        self.told: list[str] = []
        self.failed = False
        self._folder, self._out, self._kept = folder, out, kept
        self._quick, self._slower = quick, TIMES_LONGER if on_cpu else 1
        self._results, self._logs = folder / "results", folder / "logs"
        self._results.mkdir()
        self._logs.mkdir()
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "PYTHONUNBUFFERED": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others' plugins, made for another pytest
            "BENCHMARK_RESULTS": str(self._results),
            **({"CUDA_VISIBLE_DEVICES": ""} if on_cpu else {}),
        }
        self._carried = self._environment

    def install(self, wheels: Path) -> None:
        """Unpack the wheels for the steps with a use for them."""
        found = sorted(str(wheel) for wheel in wheels.glob("*.whl"))
        if not found:
            print("no wheels are carried along", flush=True)
            return
        site = self._folder / "site"
        options = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--target", str(site), *found],
            check=False,
        )
        if done.returncode == 0:
            path = os.pathsep.join([str(site), self._environment["PYTHONPATH"]])
            self._carried = {**self._environment, "PYTHONPATH": path}
        else:
            print("the wheels do not fit this Python: benchmarks/wheels.sh fetches others")

    def take(self, step: Step) -> None:
        """Run a step to its end or its limit, and collect its results."""
        wheels = step.carried or step.helped
        environment = self._carried if wheels else self._environment
        if step.carried and not _can_import(step.carried, environment):
            packages = ", ".join(step.carried)
            self._note(step, f"LEFT OUT, needs {packages}: benchmarks/wheels.sh fetches them")
            return
        limit_s = step.limit_s * self._slower
        print(f"== {step.name} (at most {limit_s} s)", flush=True)
        arguments = step.arguments(quick=self._quick, slower=self._slower, results=self._results)
        began = time.monotonic()
        code = run_logged(arguments, environment, self._logs / f"{step.name}.txt", limit_s)
        spent = f"{time.monotonic() - began:.0f} s"
        self._keep()
        ended = "ok" if code == 0 else "KILLED at its limit" if code is None else f"FAILED ({code})"
        self.failed = self.failed or code != 0
        self._note(step, f"{ended}, {spent}")

    def tell(self) -> None:
        """Print the end of each step."""
        print("\n".join(["== steps", *self.told]), flush=True)

    def _note(self, step: Step, what: str) -> None:
        self.told.append(f"{step.name}: {what}")
        print(self.told[-1], flush=True)
        (self._logs / "steps.txt").write_text("\n".join(self.told) + "\n", encoding="utf-8")
        self._pack()

    def _keep(self) -> None:
        if self._kept is not None:
            shutil.copytree(self._results, self._kept, dirs_exist_ok=True)

    def _pack(self) -> None:
        if self._out is not None:
            left_out = pack([self._results, self._logs], self._out / "results.tar.gz")
            for path in left_out:
                print(f"too large for the archive: {path.name}", flush=True)


def run_logged(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, limit_s: float
) -> int | None:
    """Run a command with its output printed and logged; return its exit code, None if killed."""
    try:
        process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that a server of the command ends with it
        )
    except FileNotFoundError as error:
        print(error)
        return 127
    killed = False

    def kill() -> None:
        nonlocal killed
        killed = True
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = Timer(limit_s, kill)
    timer.start()
    try:
        assert process.stdout is not None
        with log.open("wb") as file, process.stdout as printed:
            for line in printed:
                file.write(line)
                file.flush()
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
        code = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            kill()
    return None if killed else code


def pack(
    folders: Sequence[Path], archive: Path, most_bytes: int = MOST_ARCHIVE_BYTES
) -> list[Path]:
    """Write all files into an archive, and return the largest files beyond its limit.

    The previous archive stays until the new archive is whole.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files = sorted(found, key=lambda path: path.stat().st_size)
    unfinished = archive.with_name(f".{archive.name}.part")
    left_out: list[Path] = []
    while True:
        with tarfile.open(unfinished, "w:gz") as packed:
            for path in files:
                packed.add(path, path.relative_to(folders[0].parent))
        if unfinished.stat().st_size <= most_bytes or not files:
            break
        left_out.append(files.pop())
    unfinished.replace(archive)
    return left_out


def _can_import(modules: Sequence[str], environment: Mapping[str, str]) -> bool:
    asked = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(modules)}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    return asked.returncode == 0


if __name__ == "__main__":
    main()
