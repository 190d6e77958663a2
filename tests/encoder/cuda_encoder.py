"""The encoder on CUDA, from loading to a profile and where memory ends.

Run by test_make_believe_gpu.py in a process of its own, on the cards that it names.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.core.errors import CropPlannerError, OutOfDeviceMemory
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.encoder.device import DtypeChoice
from app.encoder.device.device import choose_device
from app.encoder.device.memory import in_device_memory
from app.encoder.encoder import Encoder, join
from app.encoder.loading import load_encoder
from app.encoder.measuring.measure import ProfileWish, measure_profile
from app.encoder.measuring.pacing import WarmupRule
from app.encoder.runtimes.fidelity import agreement
from app.profiles import load_profile, save_profile
from tests.support.fake_cuda.memory import MEMORY, POOLS
from tests.support.fake_cuda.state import CARD, CudaError

CUDA = choose_device("cuda")
MODELS = ("molmo-7b-d-0924", "molmo2-4b")


def load(model: str = MODELS[0], dtype: DtypeChoice = "auto") -> Encoder:
    return load_encoder(family_named(model), device="cuda", dtype=dtype)


@pytest.fixture(scope="module", params=MODELS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return load(request.param)


def image(encoder: Encoder, width: int, height: int) -> tuple[Tensor, CropPlan]:
    plan = make_plan(Size(width, height), make_config(encoder.family))
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8), plan


def tokens(encoder: Encoder, *image: object) -> Tensor:
    return encoder.run(encoder.prepare(*image)).tokens.cpu()


def test_the_dtype_is_one_that_the_card_multiplies_in_hardware(encoder: Encoder) -> None:
    fast = torch.bfloat16 if CARD.capability >= (8, 0) else torch.float16
    assert encoder.dtype is fast


def test_graphs_are_what_runs(encoder: Encoder) -> None:
    """Nothing was refused on the way to them."""
    assert encoder.runtime.name.startswith("cuda-graphs")


def test_several_images_in_one_pass_are_each_as_alone(encoder: Encoder) -> None:
    """With more crops together than one graph holds."""
    images = [image(encoder, *size) for size in ((640, 480), (300, 200), (1400, 1000))]
    alone = [tokens(encoder, *one) for one in images]
    staged = [encoder.stage(*one) for one in images]
    together = encoder.run(join([encoder.upload(one) for one in staged])).tokens.cpu()
    for one, wanted in zip(together.split([len(one) for one in alone]), alone, strict=True):
        assert agreement(one, wanted).relative_error <= 1e-2


def test_a_profile_of_all_scopes_is_measured_and_can_be_kept(
    encoder: Encoder, tmp_path: Path
) -> None:
    rule = WarmupRule(at_least_s=0, at_most_s=0.1)
    *_, profile = measure_profile(encoder, ProfileWish([1, 2, 5], 6, rule))
    assert profile.complete
    assert all(entry.transfer_vision_ms for entry in profile.entries if entry.total_crops > 1)
    assert load_profile(save_profile(profile, tmp_path)) == profile


def test_an_encoder_that_goes_takes_its_graphs_along() -> None:
    """At once, not when cycles are collected, which could be during a capture."""
    gc.collect()
    before = sum(len(pool.graphs) for pool in POOLS)
    gc.disable()
    try:
        loaded = load(dtype="float32")
        del loaded
        assert sum(len(pool.graphs) for pool in POOLS) == before
    finally:
        gc.enable()


def leave_free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Make the card so small that no more than this is free."""
    gc.collect()
    torch.cuda.empty_cache()
    monkeypatch.setattr(CARD, "bytes", MEMORY.reserved + size)


def test_a_pass_that_will_not_fit_is_refused_with_numbers(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_free(monkeypatch, 2**20)
    with pytest.raises(OutOfDeviceMemory) as refused:
        encoder.check_memory(13)
    assert refused.value.facts["actual"] > refused.value.facts["limit"] > 0


def test_loading_on_a_card_that_is_too_small_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither another runtime nor another dtype is blamed."""
    leave_free(monkeypatch, 2**18)
    with pytest.raises(CropPlannerError) as refused:
        in_device_memory(load)
    assert isinstance(refused.value, OutOfDeviceMemory)


def test_a_broken_context_is_not_taken_for_memory_that_ran_out(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it come right by itself."""
    one = image(encoder, 640, 480)
    monkeypatch.setattr(CARD, "broken", True)
    for _ in range(2):
        with pytest.raises(CudaError, match="illegal memory access"):
            in_device_memory(lambda: tokens(encoder, *one))
