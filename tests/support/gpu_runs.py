"""Runs on make-believe GPUs, in processes that start with the tests and are asked for later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

T4 = {"FAKE_CUDA_CAPABILITY": "7.5", "FAKE_CUDA_GIB": "15"}
RUNS = {
    "laws": ({}, ["tests/support/cuda_laws.py"]),
    "a real GPU's tests": ({}, ["tests/encoder/test_cuda.py"]),
    "H200": ({}, ["tests/encoder/cuda_encoder.py", "tests/serving/cuda_backend.py"]),
    "T4": (T4, ["tests/encoder/cuda_encoder.py", "-k", "not profile"]),
}
"""The environment of a process, and the files that it runs."""


class GpuRuns:
    """Runs beside all other tests, each in a process of its own: pretending is for all of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes = {name: self._start(name) for name in RUNS}

    def _start(self, name: str) -> subprocess.Popen:
        environment, arguments = RUNS[name]
        with self.log_of(name).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.support.fake_cuda", "--pytest", *arguments],
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log_of(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def result(self, name: str) -> tuple[int, str]:
        """Wait for a run: its exit code, and what it printed."""
        return self._processes[name].wait(), self.log_of(name).read_text()

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
