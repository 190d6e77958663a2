"""Everything that needs a GPU, on a make-believe one: docs/make-believe-gpu.md."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RUNS = {
    "laws": (["tests/support/cuda_laws.py"], {}),
    "an H200": (
        [
            "tests/encoder/test_cuda.py",
            "tests/encoder/cuda_encoder.py",
            "tests/serving/cuda_backend.py",
        ],
        {},
    ),
    "a T4": (["tests/encoder/cuda_encoder.py"], {"FAKE_CUDA_CAPABILITY": "7.5"}),
}


@pytest.mark.parametrize("run", RUNS)
def test_on_a_make_believe_gpu_all_holds_and_no_law_is_broken(run: str) -> None:
    """In a process of its own, as pretending is for all of a process."""
    files, environment = RUNS[run]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.fake_cuda", "--pytest", *files],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
