"""The Triton kernels, run by Triton's interpreter on the CPU; `tests/conftest.py` asks for it.

The interpreter rounds to bfloat16 towards zero and cannot multiply it, so float16 stands for both.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from app.encoder.network.backbone import VisionBackbone, attend_to_window, written_out
from app.encoder.runtimes.fastest import KernelConnector, _sample
from app.encoder.runtimes.fidelity import agreement
from app.encoder.runtimes.vit_passes import PLAIN, PartsPass, UpByKernel
from app.encoder.synthetic import random_backbone
from tests.encoder.reference import CPU

kernels = pytest.importorskip("app.encoder.runtimes.kernels", reason="no Triton here")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="runs on the GPU instead")

NEAR = {torch.float32: 1e-6, torch.float16: 5e-4}
DTYPES = tuple(NEAR)
SMALL_TILE = (64, 64, 32, 4, 3)


def noise(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_near(found: Tensor, wanted: Tensor) -> None:
    assert agreement(found, wanted).relative_error <= NEAR[found.dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1024, 1152])
def test_the_norm_is_of_the_shifted_sum(width: int, dtype: torch.dtype) -> None:
    """Also of widths that are no power of two, and of sums far from zero."""
    x, shift = 3 * noise(5, width) + 40, noise(width, seed=1)
    weight, bias = noise(width, dtype=dtype, seed=2), noise(width, dtype=dtype, seed=3)
    wanted = functional.layer_norm(x + shift, (width,), weight.float(), bias.float(), 1e-6)
    assert_near(kernels.norm(x, shift, weight, bias, 1e-6), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("inputs", [96, 90])
def test_the_product_is_activated_before_it_is_rounded(
    inputs: int, quick: bool, dtype: torch.dtype
) -> None:
    """Rows, outputs and inputs that are no multiple of a tile's are all there, and nothing else."""
    x = noise(130, inputs, dtype=dtype)
    weight, bias = noise(200, inputs, dtype=dtype, seed=1) / 10, noise(200, dtype=dtype, seed=2)
    product = x.double() @ weight.double().t() + bias
    wanted = (
        product * torch.sigmoid(1.702 * product)
        if quick
        else functional.gelu(product, approximate="tanh")
    )
    assert_near(kernels.up(x, weight, bias, quick, tile=SMALL_TILE), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("masked", [True, False])
def test_a_window_is_gathered_with_its_mean(masked: bool, dtype: torch.dtype) -> None:
    """A missing patch is zeros without padding's embedding; the mean is over what there is only
    where a family masks."""
    features, table = noise(30, 1500, dtype=dtype), noise(3, 1500, dtype=dtype, seed=1)
    index = torch.arange(28).view(7, 4).roll(3)
    index[2, 1:], index[4, 0] = -1, -1
    state = torch.arange(30) % 3
    windows, mean = kernels.gather(features, index, state, table, masked=masked)
    present = (index >= 0)[..., None]
    wanted = (features + table[state])[index.clamp_min(0)] * present
    assert torch.equal(windows, wanted)
    count = present.sum(1) if masked else torch.tensor(4)
    assert_near(mean, wanted.double().sum(1) / count)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("width", [1024, 1152])
def test_pooling_is_attention_over_the_window(width: int, masked: bool, dtype: torch.dtype) -> None:
    """As torch's attention, with and without patches that are missing."""
    heads, index = 16, torch.arange(20).view(5, 4)
    index[1, 1:], index[3, 3] = -1, -1
    query, both = noise(5, width, dtype=dtype), noise(5, 4, 2 * width, dtype=dtype, seed=1)
    key, value = both.view(5, 4, 2, heads, -1).double().permute(2, 0, 3, 1, 4)
    mask = (index >= 0)[:, None, None] if masked else None
    wanted = functional.scaled_dot_product_attention(
        query.double().view(5, heads, 1, -1), key, value, attn_mask=mask
    ).flatten(1)
    assert_near(kernels.pool(query, both, index, heads=heads, masked=masked), wanted)
    for plainly in (attend_to_window, written_out):
        found = plainly(
            query.view(5, 1, heads, -1),
            *both.view(5, 4, 2, heads, -1).unbind(2),
            (index >= 0) if masked else None,
        )
        assert_near(found.flatten(1), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_swiglu_halves_what_one_product_made(dtype: torch.dtype) -> None:
    both = noise(3, 2 * 1100, dtype=dtype)
    gate, up = both.double().chunk(2, -1)
    assert_near(kernels.swiglu(both), functional.silu(gate) * up)


@pytest.fixture(params=["molmo1", "molmo2"])
def backbone(request: pytest.FixtureRequest) -> VisionBackbone:
    """Of two blocks, as the interpreter is slow."""
    family = request.getfixturevalue(request.param).family
    vit = replace(family.vit, blocks_stored=3, feature_layers=(1, 0))
    return random_backbone(replace(family, vit=vit), CPU, torch.float32)


@torch.inference_mode()
def test_the_connector_with_kernels_makes_the_same_tokens(backbone: VisionBackbone) -> None:
    """With every state of padding, and with windows that miss a patch."""
    inputs = _sample(backbone)
    found = KernelConnector(backbone, kernels)(*inputs)
    assert agreement(found, backbone.connect(*inputs)).relative_error <= 1e-5


@torch.inference_mode()
def test_a_pass_with_kernels_makes_the_same_features(backbone: VisionBackbone) -> None:
    """Norm and activated product inside the whole transformer."""

    def normalise(x: Tensor, shift: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
        return kernels.norm(x, shift, norm.weight, norm.bias, norm.eps)

    up = partial(UpByKernel, partial(kernels.up, tile=SMALL_TILE))
    parts = replace(PLAIN, normalise=normalise, make_up=up)
    vit = backbone.vit
    patches = noise(
        1, len(vit.positional_embedding) - backbone.class_token, vit.patch_embedding.in_features
    )
    wanted = backbone.encode_patches(patches)
    for dtype, limit in ((torch.float32, 1e-5), (torch.float16, 2e-3)):
        rounded = deepcopy(backbone).to(dtype)
        features = torch.empty_like(wanted, dtype=dtype)
        PartsPass(rounded, parts)(patches.to(dtype), features)
        assert agreement(features, wanted).relative_error <= limit
