"""The marks and pixels of a canvas agree with the plan's own crops, canvas and tokens."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import psnr_db
from support.strategies import configs, plan_or_reject, sizes

from app.core.plan.geometry import Box, Size
from app.core.plan.tokens import axis_tokens
from app.imaging.pictures.view import (
    coverage_zones,
    cut_out,
    drawn_aspect,
    padding_of,
    prompt_patches,
)
from tests.imaging.pictures.cases import HOSTILE, MOLMO_2, picture_for, plan_of


def painted(boxes: list[tuple[Box, int]], width: int, height: int) -> np.ndarray:
    """Adds each value to the px of its box; all edges are whole px."""
    sums = np.zeros((height, width), np.int32)
    for box, value in boxes:
        x0, y0, x1, y1 = (round(edge) for edge in box.as_tuple())
        sums[y0:y1, x0:x1] += value
    return sums


@given(size=sizes, config=configs(largest=16))
def test_zones_are_how_many_crops_cover_each_patch(size, config):
    """Every px of the canvas is in one zone, whose count is that of the crops over it."""
    plan = plan_or_reject(size, config)
    shape = plan.canvas.width, plan.canvas.height
    zones = coverage_zones(plan)
    assert (painted([(zone.box, 1) for zone in zones], *shape) == 1).all()
    crops = painted([(crop.canvas_box, 1) for crop in plan.crops()], *shape)
    assert (painted([(zone.box, zone.count) for zone in zones], *shape) == crops).all()


@given(size=sizes, config=configs(largest=16))
def test_padding_is_all_that_is_not_content(size, config):
    """Together they are the canvas, and no px is in both or twice in one."""
    plan = plan_or_reject(size, config)
    boxes = [*padding_of(plan.canvas), plan.canvas.content]
    covered = painted([(box, 1) for box in boxes], plan.canvas.width, plan.canvas.height)
    assert (covered == 1).all()


@pytest.mark.parametrize(
    ("width", "height", "aspect"),
    [(2400, 100, 24), (4000, 100, 24), (100, 2400, 1 / 24), (100, 4000, 1 / 24), (700, 300, 7 / 3)],
)
def test_a_stretched_canvas_is_drawn_with_the_aspect_of_the_image(width, height, aspect):
    """But for a line, which crops could not be seen in."""
    assert drawn_aspect(plan_of(width, height, MOLMO_2)) == pytest.approx(aspect)


def test_another_canvas_is_drawn_as_the_model_sees_it():
    plan = plan_of(4000, 112)
    assert drawn_aspect(plan) == plan.canvas.width / plan.canvas.height


@given(config=configs(), count=st.integers(1, 12))
def test_prompt_patches_are_divided_into_the_planned_tokens(config, count):
    """Along an axis of crops: as many tokens as are counted for it.

    Where the stitched grid is pooled (Molmo 2), the patches of the crops join without a gap, and a
    token may lie in two crops; else it lies in one.
    """
    patches = prompt_patches(count, config)
    assert all(0 <= each.first < each.last <= config.crop_patches for each in patches)
    pieces = sum(len(each.cuts) + 1 for each in patches)
    if config.family.connector.pooling_domain == "crop":
        assert pieces == axis_tokens(count, config)
    else:
        assert 0 <= pieces - axis_tokens(count, config) < count
        for one, other in pairwise(patches):
            assert one.last == config.window_patches + other.first


@pytest.mark.parametrize("plan", [plan_of(640, 427), plan_of(640, 427, MOLMO_2)])
def test_a_crop_is_the_same_part_of_the_whole_canvas(plan, photo):
    """Cut out of the picture directly, or out of the whole canvas at the same scale."""
    canvas = plan.canvas
    everything = cut_out(photo, canvas, canvas.box, Size(canvas.width, canvas.height))
    side = plan.config.crop_size_px
    for crop in plan.crops():
        alone = cut_out(photo, canvas, crop.canvas_box, Size(side, side))
        box = tuple(round(edge) for edge in crop.canvas_box.as_tuple())
        assert psnr_db(alone, everything.crop(box)) > 40


@pytest.mark.parametrize("name", list(HOSTILE))
def test_padding_is_black_and_content_is_not(name):
    """Of every crop: black is just what the plan says is padding, to the px that is rounded."""
    plan = HOSTILE[name]
    picture = picture_for(plan)  # nowhere black
    for crop in plan.crops()[:12]:
        tile = np.asarray(cut_out(picture, plan.canvas, crop.canvas_box, Size(84, 84)))
        padding = (tile == 0).all(axis=2).mean()
        assert padding == pytest.approx(crop.padding_ratio, abs=2 / 84)
        assert (padding == 1) == (crop.image_box is None)


def test_a_box_beside_the_picture_is_black():
    """A crop may be padding and nothing else."""
    plan = plan_of(300, 200)
    tile = cut_out(picture_for(plan), plan.canvas, Box(0, 0, 100, 20), Size(50, 10))
    assert not np.asarray(tile).any()
