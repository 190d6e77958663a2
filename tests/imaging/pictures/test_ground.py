"""The ground of a drawing is the picture in the canvas, and black in its padding."""

import numpy as np
import pytest
from support.pictures import psnr_db

from app.core.plan.geometry import Box, Size
from app.imaging.pictures import load_ground
from app.imaging.pictures.view import cut_out
from app.imaging.read.header import look
from tests.imaging.pictures.cases import HOSTILE, MOLMO_2, picture_for, plan_of


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


def test_a_large_file_is_loaded_no_larger_than_it_is_drawn(photo_bytes):
    """Its longer side is what was asked for, its aspect that of the file."""
    facts = look(photo_bytes, max_pixels=10**9)
    ground = load_ground(photo_bytes, facts, max_pixels=10**9, side_px=200)
    assert ground.size == (200, round(200 * 427 / 640))
    large = load_ground(photo_bytes, facts, max_pixels=10**9, side_px=4096)
    assert large.size == (640, 427)


def test_a_box_beside_the_picture_is_black():
    """A crop may be padding and nothing else."""
    plan = plan_of(300, 200)
    tile = cut_out(picture_for(plan), plan.canvas, Box(0, 0, 100, 20), Size(50, 10))
    assert not np.asarray(tile).any()
