"""Resizing: the sizes asked for, and what Pillow makes of them, whichever library does it."""

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.pictures import psnr_db

from app.core.plan.geometry import Box, Size
from app.imaging.write import resample
from app.imaging.write.resample import fast_library, resize

TASKS = Path("/proc/self/task")
FAST = ["bilinear", "bicubic", "lanczos"]
needs_the_library = pytest.mark.skipif(fast_library() is None, reason="no wheel of it here")
sides = st.integers(1, 90)
shares = st.floats(0, 1)


def pillow(image: Image.Image, size: Size, box: Box, filter_: str) -> Image.Image:
    chosen = Image.Resampling[filter_.upper()]
    return image.resize((size.width, size.height), chosen, box=box.as_tuple())


def whole(image: Image.Image) -> Box:
    return Box(0, 0, image.width, image.height)


@needs_the_library
@pytest.mark.parametrize("filter_", FAST)
@pytest.mark.parametrize("scale", [0.15, 0.4, 0.77, 1.0, 1.2, 1.7])
def test_the_fast_library_makes_what_pillow_makes(photo, filter_, scale):
    """Smaller and mildly larger: far above the 57 and 55 dB that are asked for."""
    size = Size(round(photo.width * scale), round(photo.height * scale))
    made = resize(photo, size, whole(photo), filter_)
    assert psnr_db(made, pillow(photo, size, whole(photo), filter_)) > 65


@needs_the_library
@pytest.mark.parametrize("filter_", FAST)
def test_a_part_with_fractions_is_the_part_that_pillow_takes(photo, filter_):
    box = Box(17.3, 40.6, 611.9, 399.25)
    size = Size(300, 181)
    assert psnr_db(resize(photo, size, box, filter_), pillow(photo, size, box, filter_)) > 65


@needs_the_library
@pytest.mark.parametrize("filter_", FAST)
def test_turning_later_is_turning_before(photo, filter_):
    """With the other way first, a picture on its side comes out as if it had been upright."""
    size = Size(300, 200)
    upright = resize(photo, size, whole(photo), filter_)
    lying = photo.transpose(Image.Transpose.ROTATE_90)
    made = resize(lying, Size(200, 300), whole(lying), filter_, vertical_first=True)
    assert psnr_db(made.transpose(Image.Transpose.ROTATE_270), upright) > 65


@pytest.mark.skipif(not TASKS.exists(), reason="needs Linux's /proc")
def test_it_starts_no_threads(photo):
    """As many images are resized at once as there are cores already."""
    before = {task.name for task in TASKS.iterdir()}
    resize(photo, Size(1500, 1000), whole(photo), "lanczos")
    assert {task.name for task in TASKS.iterdir()} <= before


@settings(max_examples=300)
@given(
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.tuples(shares, shares, shares, shares),
    st.sampled_from(["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]),
    st.booleans(),
)
def test_sizes_are_exact_and_one_colour_stays_it(original, size, edges, filter_, vertical_first):
    """Whatever part of whatever image, down to a single pixel of one."""
    image = Image.new("RGB", original, (200, 30, 90))
    x0, x1 = sorted(share * original[0] for share in edges[:2])
    y0, y1 = sorted(share * original[1] for share in edges[2:])
    if x1 - x0 < 0.01 or y1 - y0 < 0.01:
        x0, y0, x1, y1 = 0.0, 0.0, *map(float, original)
    made = resize(image, Size(*size), Box(x0, y0, x1, y1), filter_, vertical_first=vertical_first)
    assert made.size == size
    assert made.getcolors() == [(size[0] * size[1], (200, 30, 90))]


@pytest.mark.parametrize("library", [fast_library(), None], ids=["as installed", "Pillow alone"])
@settings(max_examples=150)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(shares, shares),
    st.sampled_from(["box", "bilinear", "hamming", "bicubic", "lanczos"]),
    st.booleans(),
)
def test_what_lies_between_is_no_larger_than_both(
    library, original, size, edges, filter_, vertical_first
):
    """A long strip made wide and low would else take gigabytes on its way."""
    image = Image.new("RGB", original)
    y0, y1 = sorted(share * original[1] for share in edges)
    box = Box(0, y0, original[0], y1) if y1 - y0 > 0.01 else whole(image)
    with (
        patch.object(resample, "fast_library", lambda: library),
        patch.object(resample, "_by_library", wraps=resample._by_library) as by_library,
        patch.object(resample, "_by_pillow", wraps=resample._by_pillow) as by_pillow,
    ):
        made = resize(image, Size(*size), box, filter_, vertical_first=vertical_first)
    assert made.size == size
    passes = [call.args[-3] for call in by_library.call_args_list + by_pillow.call_args_list]
    if len(passes) == 1:  # both ways in one call of Pillow: what lies between is no larger either
        assert (size[0] > original[0]) == (size[1] > box.y1 - box.y0)
    a_filter_more = 8 * max(size)
    assert passes[0].pixels <= max(original[0] * original[1], size[0] * size[1]) + a_filter_more


@pytest.mark.parametrize("filter_", ["box", "bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [Size(900, 30), Size(40, 700)])
def test_pillow_in_two_calls_makes_what_it_makes_in_one(photo, filter_, size, monkeypatch):
    """One way enlarged, the other reduced; only which is rounded first differs."""
    monkeypatch.setattr(resample, "fast_library", lambda: None)
    box = Box(17.3, 40.6, 611.9, 399.25)
    assert psnr_db(resize(photo, size, box, filter_), pillow(photo, size, box, filter_)) > 50


@pytest.mark.parametrize("filter_", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_without_the_library_it_is_pillow(photo, filter_, monkeypatch):
    """Exactly; the filters that the library lacks are Pillow's with it too."""
    size, box = Size(301, 200), Box(3.5, 0, 640, 420.25)
    wanted = pillow(photo, size, box, filter_)
    if filter_ not in FAST:
        assert np.array_equal(np.asarray(resize(photo, size, box, filter_)), np.asarray(wanted))
    monkeypatch.setattr(resample, "fast_library", lambda: None)
    assert np.array_equal(np.asarray(resize(photo, size, box, filter_)), np.asarray(wanted))


def test_a_platform_without_a_wheel_has_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    assert fast_library.__wrapped__() is None
