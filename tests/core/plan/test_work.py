from __future__ import annotations

import pytest

from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES, family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.core.plan.work import (
    connector_flops,
    cutting_bytes,
    matmul_rate,
    pass_bytes,
    plan_flops,
    vit_flops,
    weights_bytes,
)

GFLOP = 1e9

CONNECTOR_GFLOP_A_CROP = {
    "molmoe-1b-0924": 6.9,
    "molmo-7b-o-0924": 25.2,
    "molmo-7b-d-0924": 36.5,
    "molmo-72b-0924": 92.9,
    "molmo2-4b": 28,
    "molmo2-8b": 41,
    "molmo2-o-7b": 38,
}
WEIGHTS_GB = {
    "molmoe-1b-0924": 0.58,
    "molmo-7b-o-0924": 0.71,
    "molmo-7b-d-0924": 0.79,
    "molmo-72b-0924": 1.18,
    "molmo2-4b": 0.88,
    "molmo2-8b": 0.94,
    "molmo2-o-7b": 0.92,
}


@pytest.mark.parametrize(("model", "gflop"), [("molmo-7b-d-0924", 350), ("molmo2-4b", 617)])
def test_work_of_the_vit_per_crop(model: str, gflop: float) -> None:
    """One crop costs the documented work, and n crops cost n times that."""
    family = family_named(model)
    assert vit_flops(family, 1) / GFLOP == pytest.approx(gflop, abs=0.5)
    assert vit_flops(family, 13) == 13 * vit_flops(family, 1)


@pytest.mark.parametrize("model", FAMILIES)
def test_work_of_the_connector_per_crop(model: str) -> None:
    """All tokens of one crop cost the documented work."""
    config = make_config(family_named(model))
    work = connector_flops(config.family, config.crop_tokens**2) / GFLOP
    figure = CONNECTOR_GFLOP_A_CROP[model]
    assert work == pytest.approx(figure, abs=0.5 if config.family.generation == 2 else 0.05)


@pytest.mark.parametrize("model", FAMILIES)
def test_weights_that_are_needed(model: str) -> None:
    """In bfloat16 they take the documented space."""
    assert weights_bytes(family_named(model), 2) / 1e9 == pytest.approx(WEIGHTS_GB[model], abs=6e-3)


def test_a_plan_pays_for_its_crops_and_kept_tokens() -> None:
    """640x480 is 2x3: seven crops through the ViT, 704 tokens through the connector."""
    family = family_named("molmo-7b-d-0924")
    plan = make_plan(Size(640, 480), make_config(family))
    assert plan_flops(plan) == vit_flops(family, 7) + connector_flops(family, 704)


def test_another_crop_side_costs_its_own_patches() -> None:
    """Attention grows faster than the number of patches, so half the side is under a quarter."""
    family = family_named("molmo-7b-d-0924")
    whole, half = vit_flops(family, 1), vit_flops(family, 1, crop_size_px=168)
    assert 0.2 < half / whole < 0.25


def test_a_large_image_takes_more_memory_than_its_pass() -> None:
    """27 bytes a pixel while its crops are cut: 1.7 GB of 64 MP, where 13 crops take 0.5 GB."""
    config = make_config(family_named("molmo-7b-d-0924"))
    large = make_plan(Size(9238, 6928), config)
    pixels = 9238 * 6928
    canvas = 24 * large.canvas.width * large.canvas.height
    assert cutting_bytes([large]) == 27 * pixels + canvas
    assert pass_bytes(config.family, large.total_crops, 2) < cutting_bytes([large]) < 1.8e9
    assert cutting_bytes([]) == 0


def test_of_several_images_one_is_cut_at_a_time() -> None:
    """All their pixels may be on the device, but the floats of one alone."""
    config = make_config(family_named("molmo2-4b"))
    small, large = (make_plan(Size(side, side), config) for side in (400, 4000))
    assert cutting_bytes([small, large]) == cutting_bytes([large]) + 3 * 400 * 400


def test_the_matrix_rate_is_the_median_of_its_rounds() -> None:
    """A clock that one round reached is not held against the times of all; no round, no rate."""
    assert matmul_rate([700.0, 710.0, 820.0]) == 710
    assert matmul_rate([]) is None
