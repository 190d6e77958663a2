"""Runs on make-believe GPUs, in processes that start with the tests and are asked for later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread

from support.waiting import until

T4 = {"FAKE_CUDA_CAPABILITY": "7.5", "FAKE_CUDA_GIB": "15"}
RUNS = {
    "laws": ({}, ["tests/support/cuda_laws.py"]),
    "a real GPU's tests": ({}, ["tests/encoder/test_cuda.py"]),
    "H200": ({}, ["tests/encoder/cuda_encoder.py", "tests/serving/cuda_backend.py"]),
    "T4": (T4, ["tests/encoder/cuda_encoder.py", "-k", "not profile"]),
}
"""The environment of a process, and the files that it runs."""


class GpuRuns:
    """Runs beside all other tests, each in a process of its own: pretending is for all of it.

    ``folder`` is a new folder for what they print and for their exit codes: with pytest-xdist other
    processes ask for these.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._processes = {name: self._start(name) for name in RUNS}
        self._watchers = [Thread(target=self._note_end, args=(name,)) for name in RUNS]
        for watcher in self._watchers:
            watcher.start()

    def _start(self, name: str) -> subprocess.Popen:
        environment, arguments = RUNS[name]
        with _log(self.folder, name).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.support.fake_cuda", "--pytest", *arguments],
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _note_end(self, name: str) -> None:
        code = str(self._processes[name].wait())
        written = _code(self.folder, name).with_suffix(".written")
        written.write_text(code)
        written.rename(_code(self.folder, name))

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
        for watcher in self._watchers:
            watcher.join()
        shutil.rmtree(self.folder)


def result(folder: Path, name: str) -> tuple[int, str]:
    """Wait for a run, in any process of the tests: its exit code, and what it printed."""
    until(_code(folder, name).exists, seconds=1800)
    return int(_code(folder, name).read_text()), _log(folder, name).read_text()


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def _code(folder: Path, name: str) -> Path:
    return folder / f"{name}.code"
