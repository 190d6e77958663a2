"""Batches of images on CUDA where memory ends.

Run by tests/encoder/test_make_believe_gpu.py in a process of its own.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from app.core.errors import OutOfDeviceMemory
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.encoder.encoder import Encoder, Staged
from app.encoder.launching import Launched
from app.encoder.runtimes.fidelity import agreement
from app.serving.device.served_encoder import ProfileOptions, ServedEncoder, load_served_encoder
from app.serving.device.worker import DeviceWorker
from app.serving.encode.batcher import Batcher
from tests.support.fake_cuda.memory import MEMORY
from tests.support.fake_cuda.state import CARD

FAMILY = family_named("molmo-7b-d-0924")


@pytest.fixture(scope="module")
def encoder() -> ServedEncoder:
    return load_served_encoder(
        FAMILY,
        checkpoint=None,
        device="cuda",
        dtype="float32",
        runtime="auto",
        threads=None,
        seed=0,
        profile=ProfileOptions(folder=Path("never written"), crops=1, repeats=1, budget_s=1),
    )


@pytest.fixture
def worker() -> Iterator[DeviceWorker]:
    worker = DeviceWorker(queue_limit=1, stall_s=60)
    yield worker
    worker.stop()


def staged(encoder: ServedEncoder, width: int, height: int) -> Staged:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    plan = make_plan(Size(width, height), make_config(FAMILY))
    return encoder.stage(SimpleNamespace(pixels=pixels), plan)


def test_a_pass_for_which_memory_ends_is_halved(
    encoder: ServedEncoder, worker: DeviceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing predicted it: one image gets its tokens, the other is too large by itself."""
    small, large = staged(encoder, 200, 160), staged(encoder, 3000, 2400)
    (wanted,) = encoder.launch([small]).result()
    monkeypatch.setattr(Encoder, "check_memory", lambda *_: None)
    gc.collect()
    torch.cuda.empty_cache()
    monkeypatch.setattr(CARD, "bytes", MEMORY.reserved + 12 * 2**20)

    passes: list[int] = []

    def launch(batch: list[Staged]) -> Launched:
        passes.append(len(batch))
        return encoder.launch(batch)

    batcher = Batcher(worker, launch, limit_crops=lambda: 64, queue_crops=64)
    first, second = batcher.submit(small), batcher.submit(large)
    worker.start()
    assert agreement(first.result(60).result.tokens, wanted.tokens).relative_error <= 1e-5
    with pytest.raises(OutOfDeviceMemory, match="memory ran out"):
        second.result(60)
    assert passes == [2, 1, 1]
