from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.scatter import DROPPED, image_input_idx
from torch import Tensor

from app.core.plan.config import make_config
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import make_plan
from app.core.plan.tokens import (
    TokenKind,
    pooling_windows,
    token_sequence,
)
from app.encoder.network.backbone import VisionBackbone
from app.encoder.network.checkpoint import load_checkpoint
from app.encoder.network.preprocess import PaddingState, padding_state
from app.encoder.synthetic import random_backbone
from tests.encoder.reference import CPU, Vectors, relative_error, write_checkpoint

GRID = Grid(1, 2)


def load(vectors: Vectors, folder: Path) -> VisionBackbone:
    return load_checkpoint(
        write_checkpoint(folder, vectors.weights), vectors.family, CPU, torch.float32
    )


@pytest.fixture
def backbone1(molmo1: Vectors, tmp_path: Path) -> VisionBackbone:
    return load(molmo1, tmp_path)


@pytest.fixture
def backbone2(molmo2: Vectors, tmp_path: Path) -> VisionBackbone:
    return load(molmo2, tmp_path)


def all_windows(crops: int, side: int) -> Tensor:
    """Every 2x2 window of every crop, none dropped: what the reference pools."""
    windows = torch.arange(crops * side * side).view(crops, side // 2, 2, side // 2, 2)
    return windows.permute(0, 1, 3, 2, 4).reshape(-1, 4)


def test_molmo1_layers_are_the_reference(molmo1: Vectors, backbone1: VisionBackbone) -> None:
    """The two layers that are read equal those of the released code, class token included."""
    last, early = backbone1.vit(molmo1.data["in/patches"])
    assert relative_error(last, molmo1.data["out/vit_layer_-2"]) <= 1e-5
    assert relative_error(early, molmo1.data["out/vit_layer_-9"]) <= 1e-5


@pytest.mark.parametrize("order", ["", "_reference_order"])
def test_molmo1_tokens_are_the_reference(
    molmo1: Vectors, backbone1: VisionBackbone, order: str
) -> None:
    """Pooled and projected tokens equal the released code's, for both masks it was run with."""
    state = padding_state(molmo1.data[f"in/mask{order}"], "aligned")
    tokens = backbone1(molmo1.data["in/patches"], all_windows(3, 6), state)
    name = f"out/features_mask{order}" if order else "out/features"
    assert relative_error(tokens, molmo1.data[name].flatten(0, 1)) <= 1e-5


def test_the_released_mask_is_one_row_off(molmo1: Vectors) -> None:
    """The global crop gets crop 1's padding, the last crop counts as partly padded throughout."""
    handed_over = molmo1.data["in/mask_reference_order"]
    content = torch.cat([torch.ones(1, 36), handed_over[:-1]])
    released = padding_state(content, "released")
    assert torch.equal(released, padding_state(handed_over, "aligned"))
    assert released[-1].unique().tolist() == [PaddingState.PARTIAL]


def test_molmo2_is_the_reference(molmo2: Vectors, backbone2: VisionBackbone) -> None:
    """Features and tokens equal those of transformers, with windows that miss patches."""
    features = backbone2.encode_patches(molmo2.data["in/patches"])
    assert relative_error(features, molmo2.data["out/vit_features"]) <= 1e-5
    plan = make_plan(Size(200, 140), make_config(molmo2.family))
    windows = torch.tensor(pooling_windows(plan.grid, plan.config))
    assert torch.equal(windows, molmo2.data["in/image_token_pooling"].long())
    assert (windows < 0).any()
    unread = torch.zeros(7, 49, dtype=torch.int64)
    tokens = backbone2.connect(features, windows, unread)
    assert relative_error(tokens, molmo2.data["out/features"]) <= 1e-5


def test_the_last_stored_block_changes_nothing(
    molmo1: Vectors, backbone1: VisionBackbone, tmp_path: Path
) -> None:
    """Its weights set to NaN give the very same tokens."""
    last = f"resblocks.{molmo1.family.vit.blocks_stored - 1}."
    poisoned = {
        name: torch.full_like(value, float("nan")) if last in name else value
        for name, value in molmo1.weights.items()
    }
    backbone = load(replace(molmo1, weights=poisoned), tmp_path)
    state = padding_state(molmo1.data["in/mask"], "aligned")
    inputs = molmo1.data["in/patches"], all_windows(3, 6), state
    assert torch.equal(backbone(*inputs), backbone1(*inputs))


def test_pooling_only_kept_tokens_equals_dropping_afterwards(
    molmo1: Vectors, backbone1: VisionBackbone
) -> None:
    """Gathering before the pooling gives what image_input_idx scatters after it, in the order of
    the prompt."""
    config = make_config(molmo1.family)
    features = backbone1.encode_patches(molmo1.data["in/patches"])
    state = padding_state(molmo1.data["in/mask"], "aligned")
    kept = backbone1.connect(features, torch.tensor(pooling_windows(GRID, config)), state)

    pooled = backbone1.connect(features, all_windows(3, 6), state)
    position = torch.tensor(image_input_idx(GRID, config)).flatten()
    assert (position == DROPPED).any()
    sequence = token_sequence(GRID, config)
    prompt = torch.zeros(len(sequence), pooled.shape[1])
    prompt[position[position != DROPPED]] = pooled[position != DROPPED]
    patch = torch.tensor([kind is TokenKind.PATCH for kind in sequence])
    torch.testing.assert_close(kept, prompt[patch], rtol=1e-5, atol=1e-5)


def test_a_crop_does_not_depend_on_its_batch(molmo1: Vectors, backbone1: VisionBackbone) -> None:
    """Features of a crop alone equal its features among others."""
    patches = molmo1.data["in/patches"]
    alone = backbone1.encode_patches(patches[1:2])
    torch.testing.assert_close(alone, backbone1.encode_patches(patches)[1:2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("generation", ["molmo1", "molmo2"])
def test_bfloat16_stays_close(generation: str, request: pytest.FixtureRequest) -> None:
    """With the same weights, features are off by about 1 %, and tokens point where they did."""
    vectors: Vectors = request.getfixturevalue(generation)
    exact = random_backbone(vectors.family, CPU, torch.float32)
    rounded = VisionBackbone(vectors.family).to(torch.bfloat16)
    rounded.load_state_dict(exact.state_dict())
    patches = vectors.data["in/patches"]
    side = vectors.family.crop_size_px // vectors.family.patch_size_px
    index = all_windows(len(patches), side // 2 * 2)
    state = torch.zeros(patches.shape[:2], dtype=torch.int64)
    with torch.inference_mode():
        wanted, got = exact.encode_patches(patches), rounded.encode_patches(patches)
        assert relative_error(got.float(), wanted) <= 0.02
        tokens = exact.connect(wanted, index, state).flatten()
        rounded_tokens = rounded.connect(got, index, state).flatten()
    assert rounded_tokens.dtype == torch.bfloat16
    assert torch.cosine_similarity(tokens, rounded_tokens.float(), dim=0) >= 0.999
