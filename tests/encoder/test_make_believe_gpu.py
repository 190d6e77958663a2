"""Everything that needs a GPU, on make-believe ones: docs/method/make-believe-gpu.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.gpu_runs import RUNS, result


@pytest.mark.parametrize("name", RUNS)
def test_on_a_make_believe_gpu_all_holds_and_no_law_is_broken(name: str, gpu_runs: Path) -> None:
    """The runs were started when the tests were collected, and have gone on meanwhile."""
    code, printed = result(gpu_runs, name)
    assert code == 0, printed
