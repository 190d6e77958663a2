"""Rasters: decoded no larger than needed, turned last, and still the same picture."""

import io

import pytest
from PIL import Image
from support.images import file_of, with_orientation
from support.pictures import psnr_db

from app.core.errors import UndecodableImage
from app.core.plan.geometry import Box, Size
from app.imaging.read.decode import decode
from app.imaging.read.header import look
from app.imaging.write import resample
from app.imaging.write.raster import load_raster
from app.imaging.write.resample import fast_library

LIMIT = 10**8
REDUCTIONS = [(1.3, 1), (4.9, 1), (5.1, 2), (19.9, 2), (20.1, 4), (60.0, 4)]


def raster_of(data: bytes, reduction: float):
    return load_raster(data, look(data, max_pixels=LIMIT), max_pixels=LIMIT, reduction=reduction)


@pytest.fixture
def large(photo) -> Image.Image:
    """The sample at sides that no scale divides, with detail in its last rows and columns."""
    large = photo.resize((1597, 1067), Image.Resampling.BICUBIC)
    large.paste(photo.resize((61, 1067)), (1597 - 61, 0))
    return large


@pytest.mark.parametrize(("reduction", "scale"), REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_is_decoded_no_larger_than_needed(large, reduction, scale, options):
    raster = raster_of(file_of(large, "JPEG", **options), reduction)
    assert raster.scale == scale
    assert raster.image.size == (-(-1597 // scale), -(-1067 // scale))
    assert raster.size == Size(1597, 1067)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_are_decoded_in_full(photo, form):
    assert raster_of(file_of(photo, form), 20).image.size == photo.size


@pytest.mark.parametrize("library", ["fast", "pillow"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("reduction", [1.3, 5.1, 20.1])
@pytest.mark.parametrize("part", [(0, 0, 1, 1), (0.13, 0, 0.87, 1), (0.01, 0.4, 0.5, 0.99)])
def test_it_is_the_picture_that_decoding_in_full_gives(
    large, library, orientation, reduction, part, monkeypatch
):
    """Turned and cut as the upright original is; a part of a px beside it would be 20 dB less."""
    # Alone, Pillow goes across first also where that is down once it is upright.
    least_db = 50 if reduction > 5 else 65 if library == "fast" and fast_library() else 52
    if library == "pillow":
        monkeypatch.setattr(resample, "fast_library", lambda: None)
    data = with_orientation(large, "JPEG", orientation)
    upright = decode(data, max_pixels=LIMIT).pixels
    width, height = upright.size
    box = Box(part[0] * width, part[1] * height, part[2] * width, part[3] * height)
    size = Size(round((box.x1 - box.x0) / reduction), round((box.y1 - box.y0) / reduction))
    wanted = upright.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box.as_tuple())
    made = raster_of(data, reduction).resized(box, size, "lanczos")
    assert made.size == wanted.size
    assert psnr_db(made, wanted) > least_db


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("reduction", [1.3, 5.1, 20.1])
def test_grey_and_cmyk_jpegs_are_the_same_picture_too(large, mode, reduction):
    data = file_of(large.convert(mode), "JPEG")
    size = Size(round(1597 / reduction), round(1067 / reduction))
    wanted = decode(data, max_pixels=LIMIT).pixels.resize(
        (size.width, size.height), Image.Resampling.LANCZOS
    )
    made = raster_of(data, reduction).resized(Box(0, 0, 1597, 1067), size, "lanczos")
    assert psnr_db(made, wanted) > 50


@pytest.mark.parametrize("reduction", [1, 6, 21, float("inf")])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_a_truncated_jpeg_is_refused_at_any_scale(photo_bytes, photo, reduction, options, share):
    whole = file_of(photo, "JPEG", **options)
    facts = look(whole, max_pixels=LIMIT)
    cut = whole[: int(len(whole) * share)]
    with pytest.raises(UndecodableImage):
        load_raster(cut, facts, max_pixels=LIMIT, reduction=reduction)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 1), (1, 400)])
def test_the_smallest_jpegs_are_decoded_at_any_scale(size):
    buffer = io.BytesIO()
    Image.new("RGB", size, (9, 99, 199)).save(buffer, "JPEG")
    raster = raster_of(buffer.getvalue(), float("inf"))
    assert raster.resized(Box(0, 0, *size), Size(2, 2), "lanczos").size == (2, 2)
