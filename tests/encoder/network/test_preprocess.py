from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.scatter import image_input_idx
from support.strategies import plan_or_reject
from torch import Tensor

from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tokens import pooling_windows
from app.encoder.network.preprocess import content_share, image_to_patches, padding_state
from tests.encoder.reference import pattern_image, read_vectors

MOLMO1 = make_config(family_named("molmo-7b-d-0924"))
MOLMO2 = make_config(family_named("molmo2-4b"))


def prepare(tensors: dict[str, Tensor], n: int, config: CropConfig) -> tuple[CropPlan, Tensor]:
    height, width, k = tensors[f"{n}.size_k"].tolist()
    plan = make_plan(Size(width, height), config)
    return plan, image_to_patches(pattern_image(height, width, k), plan)


def check_values(tensors: dict[str, Tensor], n: int, patches: Tensor) -> None:
    crop, patch, value = tensors[f"{n}.pos"].long().unbind(1)
    torch.testing.assert_close(patches[crop, patch, value], tensors[f"{n}.val"], rtol=0, atol=1e-5)
    torch.testing.assert_close(
        patches.mean(dim=(1, 2)), tensors[f"{n}.crop_mean"], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("n", range(7))
def test_molmo1_pixels_are_the_reference(n: int) -> None:
    """Values, means of crops, padding mask and scatter order agree with the reference."""
    tensors, _ = read_vectors("molmo1_pixels.safetensors")
    plan, crops = prepare(tensors, n, MOLMO1)
    check_values(tensors, n, crops)
    content = content_share(plan)
    mask = tensors[f"{n}.mask"]  # float16, in the released order: grid crops, then a row of -1
    torch.testing.assert_close(content[1:].half(), mask[:-1], rtol=0, atol=0)
    told = padding_state(mask.float(), "aligned")
    assert torch.equal(padding_state(content, "released"), told)
    order = torch.tensor(image_input_idx(plan.grid, plan.config), dtype=torch.int32)
    assert torch.equal(order, tensors[f"{n}.image_input_idx"])


@pytest.mark.parametrize("n", range(6))
def test_molmo2_pixels_are_the_reference(n: int) -> None:
    """Values, means of crops and pooling windows agree with transformers, to the last level."""
    tensors, _ = read_vectors("molmo2_pixels.safetensors")
    plan, crops = prepare(tensors, n, MOLMO2)
    check_values(tensors, n, crops)
    assert content_share(plan).eq(1).all()
    windows = torch.tensor(pooling_windows(plan.grid, plan.config), dtype=torch.int32)
    assert torch.equal(windows, tensors[f"{n}.image_token_pooling"])


def drawn_content(plan: CropPlan) -> Tensor:
    """The share of content by drawing it: ones where the image is, cut like the image."""
    side, window = plan.config.crop_size_px, plan.config.window_px
    patch = plan.config.patch_size_px
    shares = []
    for canvas in (plan.global_canvas, plan.canvas):
        drawn = torch.zeros(canvas.height, canvas.width)
        box = [int(edge) for edge in canvas.content.as_tuple()]
        drawn[box[1] : box[3], box[0] : box[2]] = 1
        crops = drawn.unfold(0, side, window).unfold(1, side, window).flatten(0, 1)
        cells = crops.unfold(1, patch, patch).unfold(2, patch, patch)
        shares.append(cells.flatten(3).mean(dim=-1).flatten(1))
    return torch.cat(shares)


@settings(max_examples=60)
@given(
    config=st.sampled_from([MOLMO1, MOLMO2, make_config(MOLMO1.family, crop_size_px=224)]),
    width=st.integers(12, 3000),
    height=st.integers(12, 3000),
)
@example(MOLMO1, 3000, 40)
@example(MOLMO1, 336, 336)
def test_the_share_of_content_is_what_drawing_it_gives(
    config: CropConfig, width: int, height: int
) -> None:
    """Bit for bit, letterboxed or not: the patches at the edge of the image have just its share."""
    plan = plan_or_reject(Size(width, height), config)
    assert torch.equal(content_share(plan), drawn_content(plan))


def test_patches_can_be_rounded_as_they_are_cut() -> None:
    """In another dtype they are those of float32, rounded once."""
    plan = make_plan(Size(400, 300), MOLMO1)
    image = pattern_image(300, 400, 1)
    exact = image_to_patches(image, plan)
    assert torch.equal(image_to_patches(image, plan, torch.bfloat16), exact.to(torch.bfloat16))


@pytest.mark.parametrize("config", [MOLMO1, MOLMO2], ids=["molmo1", "molmo2"])
def test_neighbouring_crops_share_their_margin(config: CropConfig) -> None:
    """The last patches of a crop are the first ones of the crop to its right."""
    plan = make_plan(Size(640, 300), config)
    crops = image_to_patches(pattern_image(300, 640, 3), plan)
    side, margin = config.crop_patches, config.margin_patches
    left, right = crops[1].view(side, side, -1), crops[2].view(side, side, -1)
    assert plan.grid.cols > 1
    assert torch.equal(left[:, side - margin :], right[:, :margin])


def test_padding_is_black_before_it_is_normalised() -> None:
    """A patch without content holds 0 normalised: -mean / std in every colour."""
    plan = make_plan(Size(700, 100), MOLMO1)
    crops = image_to_patches(np.full((100, 700, 3), 255, dtype=np.uint8), plan)
    padded = crops[content_share(plan) == 0]
    law = MOLMO1.family.preprocessing
    black = -torch.tensor(law.mean) / torch.tensor(law.std)
    assert len(padded) > 0
    torch.testing.assert_close(padded.view(-1, 3), black.expand(len(padded) * 196, 3))


def test_other_crop_sides_and_read_only_pixels_work() -> None:
    """Preprocessing follows the plan, not the encoder; decoders may hand out read-only arrays."""
    config = make_config(MOLMO1.family, crop_size_px=224)
    image = pattern_image(300, 400, 1)
    image.flags.writeable = False
    plan = make_plan(Size(400, 300), config)
    crops = image_to_patches(image, plan)
    assert crops.shape == (plan.total_crops, 16 * 16, 588)
    assert content_share(plan).shape == (plan.total_crops, 16 * 16)


def test_pixels_must_be_of_the_planned_image() -> None:
    """Another size, or another dtype, is refused instead of being resized to something."""
    plan = make_plan(Size(400, 300), MOLMO1)
    for pixels in (pattern_image(400, 300, 1), np.zeros((300, 400, 3), dtype=np.float32)):
        with pytest.raises(ValueError, match="pixels must be uint8"):
            image_to_patches(pixels, plan)  # type: ignore[arg-type]  # that is the point


def test_an_image_of_just_the_canvas_is_not_resampled() -> None:
    """At scale 1 the values of a crop are those of the pixels, exactly normalised."""
    family = replace(
        MOLMO1.family,
        preprocessing=replace(
            MOLMO1.family.preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        ),
    )
    plan = make_plan(Size(336, 336), make_config(family))
    image = pattern_image(336, 336, 5)
    crop = image_to_patches(image, plan)[1]
    pixels = crop.view(24, 24, 14, 14, 3).permute(0, 2, 1, 3, 4).reshape(336, 336, 3) * 255
    assert torch.equal(pixels.round().to(torch.uint8), torch.from_numpy(image))
