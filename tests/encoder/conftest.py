"""Tiny encoders of both generations, with the weights and outputs of the reference code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from app.encoder.encoder import Encoder
from app.encoder.network.checkpoint import load_checkpoint
from app.encoder.runtimes.base import Eager
from tests.encoder.reference import (
    CPU,
    Vectors,
    molmo1_vectors,
    molmo2_vectors,
    write_checkpoint,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For operations as small as these, more threads only spin."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def molmo1() -> Vectors:
    return molmo1_vectors()


@pytest.fixture(scope="session")
def molmo2() -> Vectors:
    return molmo2_vectors()


@pytest.fixture(scope="session")
def tiny_encoder(molmo1: Vectors, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = write_checkpoint(tmp_path_factory.mktemp("tiny"), molmo1.weights)
    backbone = load_checkpoint(folder, molmo1.family, CPU, torch.float32)
    return Encoder(molmo1.family, Eager(backbone), CPU, torch.float32, "checkpoint")


@pytest.fixture
def quick_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of a large product takes longer than all passes of a tiny network."""
    monkeypatch.setattr(
        "app.encoder.measuring.measure.matmul_gflop_per_s", lambda device, dtype: 500.0
    )
    monkeypatch.setattr("app.encoder.measuring.measure.copy_gb_per_s", lambda device: 20.0)
