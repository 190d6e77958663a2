"""Everything that needs a GPU, on make-believe ones: docs/make-believe-gpu.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNS = {
    "laws": ({}, ["tests/support/cuda_laws.py"]),
    "H200": (
        {},
        [
            "tests/encoder/test_cuda.py",
            "tests/encoder/cuda_encoder.py",
            "tests/serving/cuda_backend.py",
        ],
    ),
    "T4": (
        {"FAKE_CUDA_CAPABILITY": "7.5", "FAKE_CUDA_GIB": "15"},
        ["tests/encoder/cuda_encoder.py", "-k", "not profile"],
    ),
}
"""The environment of a process, and the files that it runs."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen]]:
    """All of them, side by side: pretending is for all of a process."""
    processes = {}
    for name, (environment, arguments) in RUNS.items():
        with log_of(name, tmp_path_factory.getbasetemp()).open("wb") as log:
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fake_cuda", "--pytest", *arguments],
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    yield processes
    for process in processes.values():
        process.kill()
        process.wait()


def log_of(name: str, folder: Path) -> Path:
    return folder / f"{name}.log"


@pytest.mark.parametrize("name", RUNS)
def test_on_a_make_believe_gpu_all_holds_and_no_law_is_broken(
    name: str,
    started: dict[str, subprocess.Popen],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    code = started[name].wait()
    assert code == 0, log_of(name, tmp_path_factory.getbasetemp()).read_text()
