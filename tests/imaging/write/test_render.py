"""Rendering: the decided pixels, in the decided place, in a file that says nothing more."""

import io

import numpy as np
import pytest
from PIL import Image
from support.pictures import psnr_db

from app.core.control.resizing import Target, decide_resize
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Grid
from app.imaging.read.decode import decode
from app.imaging.write.raster import as_raster
from app.imaging.write.render import output_format, output_quality, render, write

CONFIG = make_config(FAMILIES["molmo-7b-d-0924"])


@pytest.fixture
def picture(photo_bytes):
    return decode(photo_bytes, max_pixels=10**8)


def decided(picture, mode, **target):
    return decide_resize(picture.size, CONFIG, Target(**target), mode=mode).decision


def test_pad_is_black_around_the_whole_image(picture):
    decision = decided(picture, "pad", grid=Grid(2, 2))
    made = np.asarray(render(as_raster(picture), decision, "lanczos"))
    placed = decision.placed
    assert made.shape == (560, 560, 3)
    assert made[: int(placed.y0)].max() == 0
    assert made[int(placed.y1) :].max() == 0
    whole = picture.pixels.resize((560, int(placed.y1 - placed.y0)), Image.Resampling.LANCZOS)
    content = Image.fromarray(made[int(placed.y0) : int(placed.y1)])
    assert psnr_db(content, whole) > 65


def test_crop_cuts_the_middle_out(picture):
    """A square of a landscape is its centre, not squeezed."""
    decision = decided(picture, "crop", grid=Grid(2, 2))
    made = render(as_raster(picture), decision, "bilinear")
    side, left = 427, (640 - 427) / 2
    box = (left, 0, left + side, side)
    wanted = picture.pixels.resize((560, 560), Image.Resampling.BILINEAR, box=box)
    assert psnr_db(made, wanted) > 65
    assert decision.scale_x == pytest.approx(decision.scale_y)


def test_stretch_is_the_plain_resize(picture):
    made = render(as_raster(picture), decided(picture, "stretch", grid=Grid(1, 3)), "bicubic")
    wanted = picture.pixels.resize((784, 336), Image.Resampling.BICUBIC)
    assert psnr_db(made, wanted) > 52


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_files_carry_no_metadata_but_the_colour_profile(picture, form):
    made = render(as_raster(picture), decided(picture, "fit", crops=4), "lanczos")
    data = write(made, form, 90, b"not a real profile")
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == form.upper()
        assert dict(image.getexif()) == {}
        assert image.info["icc_profile"] == b"not a real profile"


def test_quality_makes_lossy_files_smaller(picture):
    made = render(as_raster(picture), decided(picture, "fit", crops=4), "lanczos")
    for form in ("jpeg", "webp"):
        assert len(write(made, form, 30, None)) < len(write(made, form, 95, None))
    assert output_quality("png", 30) is None
    assert output_quality("jpeg", None) == 95


@pytest.mark.parametrize(
    ("source", "result"),
    [("jpeg", "jpeg"), ("png", "png"), ("webp", "webp"), ("gif", "png"), ("tiff", "png")],
)
def test_own_format_else_png(source, result):
    assert output_format(source) == result
