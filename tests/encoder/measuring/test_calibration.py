from __future__ import annotations

import pytest
import torch

from app.encoder.measuring import machine
from tests.encoder.reference import CPU

CUDA = torch.device("cuda", 0)


def test_the_matmul_rate_is_positive() -> None:
    """A calibration gives a finite rate in any dtype."""
    assert 0 < machine.matmul_gflop_per_s(CPU, torch.float32, size=64) < float("inf")


def test_the_copy_of_a_gpu_is_larger_than_its_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GiB, or a quarter of what is free on a small card; and the memory is given back."""
    copied: list[int] = []
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    small = torch.ones

    def ones(size: int, *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        copied.append(size)
        return small(8, dtype=dtype)

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(machine, "_best_ms", lambda device, copy, budget_s: 2.0)
    for free, wanted in ((100 * 2**30, 2 * 2**30), (6 * 2**30, 1.5 * 2**30)):
        monkeypatch.setattr(machine, "free_bytes", lambda device, free=free: free)
        assert machine.copy_gb_per_s(CUDA) == pytest.approx(2 * wanted / 2.0 / 1e6)
        assert copied[-1] == wanted
    assert len(emptied) == 2
