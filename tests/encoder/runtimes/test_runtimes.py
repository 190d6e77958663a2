from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from app.core.errors import EncoderUnavailable
from app.core.plan.config import make_config
from app.encoder.device import RuntimeChoice
from app.encoder.network.backbone import Block, VisionBackbone
from app.encoder.network.checkpoint import load_checkpoint
from app.encoder.runtimes import choose as choosing
from app.encoder.runtimes.base import Eager, Runtime, Sample, without_sample
from app.encoder.runtimes.choose import MAKERS, available, choose
from app.encoder.runtimes.fidelity import agreement, compare, plain_reference
from app.encoder.runtimes.packed import activate_in_place, attend
from app.encoder.synthetic import (
    check_sample,
    noise_crops,
    profile_plans,
    random_backbone,
    synthetic_crops,
)
from tests.encoder.reference import CPU, Vectors, write_checkpoint

DTYPES = (torch.float32, torch.bfloat16)


@pytest.fixture(params=["molmo1", "molmo2"])
def vectors(request: pytest.FixtureRequest) -> Vectors:
    found: Vectors = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("name", available(CPU, torch.float32))
def test_every_runtime_is_the_reference(vectors: Vectors, tmp_path: Path, name: str) -> None:
    """The released code's layers, from its own weights and inputs, whatever runs them."""
    folder = write_checkpoint(tmp_path, vectors.weights)
    backbone = load_checkpoint(folder, vectors.family, CPU, torch.float32)
    patches = vectors.data["in/patches"]
    with torch.inference_mode():
        wanted = backbone.encode_patches(patches)
        sample = check_sample(vectors.family, CPU, torch.float32)
        features = MAKERS[name](backbone, sample).encode_patches(patches)
    assert agreement(features, wanted).relative_error <= 1e-5


@pytest.mark.parametrize("crops", [1, 3, 9])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", available(CPU, torch.bfloat16))
def test_every_runtime_agrees_with_the_plain_network(
    vectors: Vectors, name: str, dtype: torch.dtype, crops: int
) -> None:
    """For any number of crops, in every dtype, padding and missing patches included."""
    backbone = random_backbone(vectors.family, CPU, dtype)
    (plan,) = profile_plans(make_config(vectors.family), [crops])
    inputs = synthetic_crops(plan, CPU, dtype)
    states = torch.arange(inputs.padding_state.numel()).view_as(inputs.padding_state) % 3
    reference = plain_reference(backbone, Sample(inputs.patches, inputs.pool_index, states))
    assert compare(MAKERS[name](backbone, reference), reference, dtype).holds(dtype)


@pytest.mark.parametrize("name", available(CPU, torch.float16))
def test_float16_keeps_limits_that_are_tighter_than_those_of_bfloat16(
    vectors: Vectors, name: str
) -> None:
    """On the photo and on noise, in every runtime that has it here."""
    backbone = random_backbone(vectors.family, CPU, torch.float16)
    reference = plain_reference(backbone, check_sample(vectors.family, CPU, torch.float16))
    assert compare(MAKERS[name](backbone, reference), reference, torch.float16).holds(torch.float16)


@pytest.mark.parametrize("name", available(CPU, torch.float16))
def test_sums_over_blocks_may_be_larger_than_float16(vectors: Vectors, name: str) -> None:
    """One block adds 120,000 to a value and the next takes it away; float16 ends at 65,504."""
    backbone = random_backbone(vectors.family, CPU, torch.float16)
    with torch.inference_mode():
        for block, value in zip(backbone.vit.blocks, (60_000, -60_000), strict=False):
            assert isinstance(block, Block)
            block.attention.out.bias[0] = block.mlp.down.bias[0] = value
        sample = check_sample(vectors.family, CPU, torch.float16)
        runtime = MAKERS[name](backbone, sample)
        assert runtime.encode_patches(sample.patches).isfinite().all()


def test_the_plain_reference_leaves_the_weights_as_they_were(vectors: Vectors) -> None:
    """Widening a layer for the time it runs and narrowing it again loses nothing."""
    backbone = random_backbone(vectors.family, CPU, torch.bfloat16)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    reference = plain_reference(backbone, noise_crops(vectors.family, CPU, torch.bfloat16))
    after = backbone.state_dict()
    assert reference.tokens.dtype == torch.float32
    assert all(tensor.dtype == torch.bfloat16 for tensor in after.values())
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("heads", [1, 3, 4, 6])
def test_attention_in_groups_is_attention(heads: int) -> None:
    """Also where the heads do not divide into groups."""
    qkv = torch.randn(2, 11, 3 * heads * 8)
    query, key, value = qkv.unflatten(-1, (3, heads, 8)).permute(2, 0, 3, 1, 4).unbind(0)
    whole = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(attend(qkv, heads), whole.transpose(1, 2).flatten(2))


def test_activating_in_place_is_activating() -> None:
    """Both activations, to float32's precision."""
    from app.encoder.network.backbone import activate

    x = torch.linspace(-8, 8, 999)
    for activation in ("quick_gelu", "gelu_tanh"):
        wanted = activate(x, activation)
        torch.testing.assert_close(activate_in_place(x.clone(), activation), wanted)


class _Wrong:
    """A runtime that computes something else."""

    name = "wrong"

    def __init__(self, backbone: VisionBackbone) -> None:
        self._backbone = backbone

    def encode_patches(self, patches: Tensor) -> Tensor:
        return self._backbone.encode_patches(patches) * 1.02

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        return self._backbone.connect(features, pool_index, padding_state)


class _Broken:
    """A runtime that this machine turns out not to support."""

    def __init__(self, backbone: VisionBackbone) -> None:
        raise RuntimeError("no such instruction")


@pytest.mark.parametrize("bad", [_Wrong, _Broken])
def test_a_runtime_that_fails_its_check_is_not_used(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch, bad: Callable[[VisionBackbone], Runtime]
) -> None:
    """The next one is, with weights made anew; asked for by name, it is an error."""
    monkeypatch.setattr(
        choosing, "MAKERS", {"packed": without_sample(bad), "eager": without_sample(Eager)}
    )
    monkeypatch.setattr(choosing, "available", lambda device, dtype: ("packed", "eager"))
    make = partial(random_backbone, vectors.family, CPU, torch.float32)
    sample = check_sample(vectors.family, CPU, torch.float32)
    runtime, found = choose("auto", make, sample, CPU, torch.float32)
    assert runtime.name == "eager"
    assert found.vit.relative_error <= 1e-6
    with pytest.raises(EncoderUnavailable, match="packed"):
        choose("packed", make, sample, CPU, torch.float32)


def test_a_runtime_of_another_device_is_refused(vectors: Vectors) -> None:
    """With what there is instead."""
    make = partial(random_backbone, vectors.family, CPU, torch.float32)
    sample = check_sample(vectors.family, CPU, torch.float32)
    with pytest.raises(EncoderUnavailable, match="eager"):
        choose("cuda-graphs", make, sample, CPU, torch.float32)  # type: ignore[arg-type]  # that is the point


def test_nothing_agrees_with_nan() -> None:
    """A network that overflowed is not near anything."""
    bad = agreement(torch.full((2, 3), float("nan")), torch.ones(2, 3))
    assert not bad.holds(torch.bfloat16)


def test_every_runtime_can_be_chosen_by_its_name_and_is_documented() -> None:
    """The setting, the type and what can be made agree, and each has its row."""
    from app.settings import Settings

    choices = get_args(RuntimeChoice)
    assert choices == ("auto", *MAKERS)
    assert get_args(Settings.model_fields["runtime"].annotation) == choices
    page = (Path(__file__).parents[3] / "docs" / "method" / "runtimes.md").read_text()
    assert all(f"\n| `{name}` |" in page for name in MAKERS)
