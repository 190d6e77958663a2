"""Made files: the decided pixels, size and tiling, whatever came in and however it is made."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.images import file_of, with_orientation
from support.pictures import psnr_db

from app.core.control.resizing import ResizeDecision, Target, decide_resize
from app.core.errors import InvalidConfig, TooManyPixels, UndecodableImage, UnreachableTarget
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.plan import make_plan
from app.imaging.read.decode import decode
from app.imaging.read.header import look
from app.imaging.write.raster import as_raster
from app.imaging.write.render import (
    Output,
    check_result,
    make_file,
    may_stay,
    output_format,
    output_quality,
    render,
    write,
)

CONFIG = make_config(FAMILIES["molmo-7b-d-0924"])
LIMIT = 10**8


def made_from(data: bytes, form="png", resample="lanczos", **wanted):
    """The decision and the file."""
    facts = look(data, max_pixels=LIMIT)
    mode, output = wanted.pop("mode", "auto"), Output(form, resample=resample)
    decision = decide_resize(
        facts.size, CONFIG, Target(**wanted), mode=mode, may_stay=may_stay(facts, output)
    ).decision
    made = make_file(data, facts, decision, CONFIG, output, max_pixels=LIMIT)
    return decision, made.data


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 2600), st.integers(1, 2600)),
    st.sampled_from(["JPEG", "PNG"]),
    st.integers(1, 8),
    st.integers(1, 12),
    st.sampled_from(["auto", "pad", "crop", "stretch"]),
    st.sampled_from(["jpeg", "png"]),
    st.sampled_from(["nearest", "bilinear", "lanczos"]),
)
def test_the_made_file_has_the_decided_size_and_tiling(
    size, came_as, orientation, crops, mode, form, resample
):
    """For every mode, orientation, format, filter and scale of decoding."""
    data = with_orientation(Image.new("RGB", size, (80, 120, 40)), came_as, orientation)
    decision, made = made_from(data, form, resample, crops=crops, mode=mode)
    with Image.open(io.BytesIO(made)) as image:
        written = Size(*image.size)
    if decision.mode != "unchanged":
        assert written == decision.size
    assert make_plan(written, CONFIG).grid == decision.grid
    assert decision.grid.crops == crops


def test_what_may_stay_comes_back_byte_for_byte(photo_bytes):
    decision, made = made_from(photo_bytes, "jpeg", crops=6)
    assert (decision.mode, made) == ("unchanged", photo_bytes)


@pytest.mark.parametrize(
    ("came_as", "orientation", "form", "quality", "stays"),
    [
        ("JPEG", 1, None, None, True),
        ("JPEG", 1, "jpeg", None, True),
        ("PNG", 1, None, 80, True),  # a lossless format has no quality
        ("JPEG", 6, None, None, False),
        ("JPEG", 1, "png", None, False),
        ("JPEG", 1, None, 80, False),
        ("WEBP", 1, None, 80, False),
    ],
)
def test_an_upload_may_stay_unless_its_answer_differs(came_as, orientation, form, quality, stays):
    """Upright, in the wanted format, and of no other quality."""
    data = with_orientation(Image.new("RGB", (60, 40)), came_as, orientation)
    assert may_stay(look(data, max_pixels=LIMIT), Output(form, quality)) == stays


def stretched_to(size: Size) -> ResizeDecision:
    grid = make_plan(size, CONFIG).grid
    return ResizeDecision(
        "stretch", grid, size, Box(0, 0, 60, 40), Box(0, 0, size.width, size.height)
    )


def test_a_jpeg_retains_the_pixels_of_the_side_that_is_reduced_less(photo):
    """Made half as wide and a twentieth as high, it is not decoded at a quarter."""
    data = file_of(photo.resize((1600, 1067)), "JPEG", quality=95)
    size = Size(800, 53)
    decision = replace(stretched_to(size), source=Box(0, 0, 1600, 1067))
    made = make_file(
        data,
        look(data, max_pixels=LIMIT),
        decision,
        CONFIG,
        Output("png"),
        max_pixels=LIMIT,
    )
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(made.data)) as got:
        wanted = image.resize((size.width, size.height), Image.Resampling.LANCZOS)
        assert psnr_db(got, wanted) > 45


def test_the_limit_on_pixels_of_a_result_is_exact():
    check_result(stretched_to(Size(400, 300)), "jpeg", max_pixels=120_000)
    with pytest.raises(TooManyPixels):
        check_result(stretched_to(Size(400, 300)), "jpeg", max_pixels=119_999)


@pytest.mark.parametrize(("form", "longest"), [("webp", 16_383), ("jpeg", 65_535)])
def test_a_side_that_the_format_cannot_hold_is_refused(form, longest):
    check_result(stretched_to(Size(longest, 300)), form, max_pixels=LIMIT)
    with pytest.raises(InvalidConfig) as refused:
        check_result(stretched_to(Size(longest + 1, 300)), form, max_pixels=LIMIT)
    assert refused.value.facts == {"parameter": "format", "limit": longest, "actual": longest + 1}


def test_a_file_with_another_tiling_than_decided_is_refused(photo_bytes):
    """Whatever went wrong, it is not handed out."""
    facts = look(photo_bytes, max_pixels=LIMIT)
    decision = decide_resize(facts.size, CONFIG, Target(crops=4)).decision
    with pytest.raises(UnreachableTarget, match="please report this"):
        make_file(
            photo_bytes,
            facts,
            replace(decision, grid=Grid(1, 3)),
            CONFIG,
            Output("jpeg"),
            max_pixels=LIMIT,
        )


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("crops", [4, 6])
def test_a_file_that_ends_early_is_refused_made_anew_or_not(photo, form, crops):
    """Six crops is what the photo has: it would come back as it is."""
    whole = file_of(photo, form)
    facts = look(whole, max_pixels=LIMIT)
    decision = decide_resize(facts.size, CONFIG, Target(crops=crops)).decision
    with pytest.raises(UndecodableImage):
        make_file(
            whole[: len(whole) * 9 // 10],
            facts,
            decision,
            CONFIG,
            Output("png"),
            max_pixels=LIMIT,
        )


@pytest.mark.parametrize("resample", ["nearest", "box"])
def test_filters_that_take_pixels_as_they_are_get_the_originals(photo, resample):
    """From a JPEG decoded at a half they would take others."""
    large = photo.resize((4000, 2668))
    data = file_of(large, "JPEG")
    decision, made = made_from(data, resample=resample, crops=1)
    chosen = Image.Resampling[resample.upper()]
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(made)) as got:
        wanted = image.resize((decision.size.width, decision.size.height), chosen)
        assert np.array_equal(np.asarray(got), np.asarray(wanted))


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
@pytest.mark.parametrize("is_decoded", [False, True])
def test_the_colour_profile_of_a_file_describes_its_pixels(photo, form, mode, is_decoded):
    """A CMYK photo comes back as RGB, without its CMYK profile."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = srgb if mode == "RGB" else srgb[:16] + b"CMYK" + srgb[20:]
    data = file_of(photo.convert(mode), "JPEG", icc_profile=profile)
    facts = look(data, max_pixels=LIMIT)
    made = make_file(
        data,
        facts,
        decide_resize(facts.size, CONFIG, Target(crops=4)).decision,
        CONFIG,
        Output(form),
        max_pixels=LIMIT,
        picture=decode(data, max_pixels=LIMIT) if is_decoded else None,
    )
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.mode == "RGB"
        assert image.info.get("icc_profile") == (srgb if mode == "RGB" else None)
    assert ("the colour profile is dropped" in " ".join(facts.notes)) == (mode == "CMYK")


def test_a_png_is_lossless_and_little_larger_than_at_level_six(photo):
    """It is made in a fraction of the time, but not by giving up on compressing."""
    data = write(photo, "png", None, None)
    assert len(data) <= 1.1 * len(file_of(photo, "PNG", compress_level=6))
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(photo))


@pytest.fixture
def picture(photo_bytes):
    return decode(photo_bytes, max_pixels=LIMIT)


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
