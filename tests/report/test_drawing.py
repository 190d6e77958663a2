from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from app.core.plan.canvas import canvas_size
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import make_plan
from app.report.drawing import crop_images

FAMILY_NAMES = ("molmo-7b-d-0924", "molmo2-8b")


@pytest.mark.parametrize("name", FAMILY_NAMES)
@pytest.mark.parametrize("grid", [Grid(1, 1), Grid(2, 3)], ids=str)
def test_an_unscaled_image_is_cut_along_the_crops_boxes(name, grid):
    """On its own canvas nothing is resized, so every crop is that part of the image, to the bit."""
    config = make_config(FAMILIES[name])
    size = canvas_size(grid, config)
    noise = np.random.default_rng(0).integers(0, 256, (size.height, size.width, 3), np.uint8)
    image, plan = Image.fromarray(noise), make_plan(size, config)
    _, *crops = crop_images(image, plan)
    assert plan.grid == grid
    for crop, made in zip(plan.crops(), crops, strict=True):
        box = tuple(int(side) for side in crop.canvas_box.as_tuple())
        assert np.array_equal(np.asarray(made), np.asarray(image.crop(box)))


def test_padding_is_black_and_the_picture_is_not():
    """A 2:1 image has a strip above and below in the global crop."""
    plan = make_plan(Size(640, 320), make_config(FAMILIES["molmo-7b-d-0924"]))
    whole, *_ = crop_images(Image.new("RGB", (640, 320), (200, 100, 50)), plan)
    pixels = np.asarray(whole)
    top = plan.global_canvas.pad_top
    assert whole.size == (336, 336)
    assert not pixels[: top - 1].any()
    assert (pixels[top + 1 : -top - 1] == (200, 100, 50)).all()
