"""Retained pixels per patch: pixels of the original, that padding and overlap only lower."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import configs, plan_or_reject, sizes

from app.core.control.resizing import ResizeDecision, Target, decide_resize
from app.core.control.retained import retained_pixels, retained_pixels_per_patch
from app.core.errors import UnreachableTarget
from app.core.plan.canvas import canvas_size
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.plan import make_plan

MOLMO_1 = make_config(FAMILIES["molmo-7b-d-0924"])


def decided(size, config, mode, **target):
    decision = decide_resize(size, config, Target(**target), mode=mode).decision
    return make_plan(decision.size, config), decision


@given(sizes, configs())
def test_an_untouched_image_retains_no_more_than_it_has_and_the_canvas_shows(size, config):
    """And every pixel where the canvas enlarges it."""
    plan = plan_or_reject(size, config)
    retained = retained_pixels(plan)
    assert (
        retained
        <= min(size.pixels, plan.canvas.scaled_width * plan.canvas.scaled_height) * 1.000001
    )
    if plan.canvas.scale_x >= 1 and plan.canvas.scale_y >= 1:
        assert retained == size.pixels


@given(sizes, configs(largest=12), st.integers(1, 12), st.sampled_from(["fit", "pad", "crop"]))
def test_resizing_first_never_retains_more_than_the_source_has(size, config, crops, mode):
    """Nor more than was placed, however much either resize enlarges."""
    plan_or_reject(size, config)
    try:
        plan, decision = decided(size, config, mode, crops=min(crops, config.max_crops))
    except UnreachableTarget:
        return
    retained = retained_pixels(plan, decision)
    assert 0 < retained <= min(decision.source.area, decision.placed.area) * 1.000001


@given(sizes, configs())
def test_no_patch_is_worth_more_than_its_share_of_the_canvas(size, config):
    plan = plan_or_reject(size, config)
    run = plan.total_crops * config.crop_patches**2
    share = plan.overlap().distinct_patches / run
    assert retained_pixels_per_patch(plan) <= config.patch_size_px**2 * share * 1.000001
    assert share < 1


@given(configs(), st.integers(1, 24))
def test_an_image_of_just_the_canvas_reaches_that_bound(config, crops):
    """98 px for Molmo 1's 1x1: half a patch, as the global crop shows the same again."""
    grid = Grid(1, min(crops, config.max_crops))
    plan = plan_or_reject(canvas_size(grid, config), config)
    run = plan.total_crops * config.crop_patches**2
    assert retained_pixels_per_patch(plan) == pytest.approx(plan.image.pixels / run)
    assert retained_pixels_per_patch(make_plan(Size(336, 336), MOLMO_1)) == 98


@given(sizes, configs())
def test_turning_the_image_changes_nothing_under_equal_margins(size, config):
    """Compared with the plan of the transposed grid, as a tie between grids is not symmetric."""
    plan = plan_or_reject(size, config)
    turned = plan_or_reject(Size(size.height, size.width), config)
    if turned.grid == Grid(plan.grid.cols, plan.grid.rows):
        assert retained_pixels(turned) == pytest.approx(retained_pixels(plan))


def test_padding_is_waste():
    """The same crops, more black: fewer pixels a patch."""
    photo = Size(4000, 3000)
    full = retained_pixels_per_patch(*decided(photo, MOLMO_1, "stretch", grid=Grid(2, 6)))
    padded = retained_pixels_per_patch(*decided(photo, MOLMO_1, "pad", grid=Grid(2, 6)))
    assert padded < 0.6 * full


def test_the_limit_of_crops_retains_less_of_a_large_image_and_all_of_a_small_one():
    large, small = Size(4000, 3000), Size(300, 200)
    few = replace(MOLMO_1, max_crops=4)
    assert retained_pixels(make_plan(large, few)) < retained_pixels(make_plan(large, MOLMO_1))
    assert retained_pixels(make_plan(small, few)) == small.pixels


def test_a_plan_of_another_size_is_refused():
    _, decision = decided(Size(640, 427), MOLMO_1, "fit", crops=4)
    with pytest.raises(ValueError, match="the plan is of 640x427 px"):
        retained_pixels(make_plan(Size(640, 427), MOLMO_1), decision)


def test_what_the_first_resize_takes_the_canvas_does_not_give_back():
    """The canvas enlarges the smaller image, and shows no more of the original."""
    small = Size(100, 80)
    decision = ResizeDecision("fit", Grid(1, 1), small, Box(0, 0, 400, 320), Box.of(small))
    assert retained_pixels(make_plan(small, MOLMO_1), decision) == small.pixels
