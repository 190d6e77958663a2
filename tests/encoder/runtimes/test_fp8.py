from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from app.encoder.runtimes.choose import COARSER, MAKERS, available, on_request
from app.encoder.runtimes.fidelity import agreement
from app.encoder.runtimes.vit_passes import FLOAT8, Fp8Linear, Fp8Pass, quantise_rows
from app.encoder.synthetic import random_backbone
from tests.encoder.reference import CPU, Vectors


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_every_row_has_a_scale_of_its_own() -> None:
    """So that a row of small values is as exact as one of large values, and zeros stay zeros."""
    x = noise(4, 64) * torch.tensor([1e-4, 1.0, 1e4, 0.0])[:, None]
    rows, scale = quantise_rows(x)
    assert rows.dtype == FLOAT8
    near = rows.float() * scale
    for row in range(3):
        assert agreement(near[row], x[row]).relative_error <= 4e-2
    assert torch.equal(near[3], x[3])


@torch.inference_mode()
def test_a_product_in_float8_is_near_that_of_its_layer() -> None:
    """With its bias, over any leading dimensions, in the dtype of its input."""
    linear = nn.Linear(64, 48).requires_grad_(False).to(torch.bfloat16)
    x = noise(2, 5, 64).to(torch.bfloat16)
    found = Fp8Linear(linear)(x)
    assert found.dtype == torch.bfloat16
    assert agreement(found, linear(x)).relative_error <= 5e-2


@pytest.mark.parametrize("name", ["molmo1", "molmo2"])
@torch.inference_mode()
def test_the_blocks_in_float8_come_as_near_as_float8_must(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Near enough for its own limits, and too far for those of bfloat16: it is another thing."""
    vectors: Vectors = request.getfixturevalue(name)
    backbone = random_backbone(vectors.family, CPU, torch.bfloat16)
    vit = backbone.vit
    patches = noise(
        2, len(vit.positional_embedding) - backbone.class_token, vit.patch_embedding.in_features
    ).to(torch.bfloat16)
    wanted = deepcopy(backbone).float().encode_patches(patches.float())
    features = torch.empty_like(wanted, dtype=torch.bfloat16)
    Fp8Pass(backbone)(patches, features)
    found = agreement(features, wanted)
    assert found.relative_error <= 8e-2
    assert not found.holds(torch.bfloat16)


def test_float8_is_used_only_by_its_name() -> None:
    """And it is held to the limits of float8, whatever dtype goes in and out."""
    cuda = torch.device("cuda")
    assert "cuda-graphs-fp8" not in available(cuda, torch.bfloat16)
    assert "cuda-graphs-fp8" in on_request(cuda)
    assert "cuda-graphs-fp8" in MAKERS
    assert COARSER["cuda-graphs-fp8"] == FLOAT8
