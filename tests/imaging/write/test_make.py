"""Files that are made: the decided size and tiling, whatever came in and however it is made."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.images import file_of, with_orientation

from app.core.control.resizing import Target, decide_resize
from app.core.errors import UndecodableImage
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.imaging.read.decode import decode
from app.imaging.read.header import look
from app.imaging.write.make import make_file, may_stay
from app.imaging.write.render import write

CONFIG = make_config(FAMILIES["molmo-7b-d-0924"])
LIMIT = 10**8


def made_from(data: bytes, form="png", resample="lanczos", **wanted):
    """The decision and the file."""
    facts = look(data, max_pixels=LIMIT)
    mode = wanted.pop("mode", "auto")
    decision = decide_resize(
        facts.size, CONFIG, Target(**wanted), mode=mode, may_stay=may_stay(facts, form, None)
    ).decision
    made = make_file(
        data, facts, decision, CONFIG, form=form, quality=None, resample=resample, max_pixels=LIMIT
    )
    return decision, made


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
            form="png",
            quality=None,
            resample="lanczos",
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
        form=form,
        quality=None,
        resample="lanczos",
        max_pixels=LIMIT,
        picture=decode(data, max_pixels=LIMIT) if is_decoded else None,
    )
    with Image.open(io.BytesIO(made)) as image:
        assert image.mode == "RGB"
        assert image.info.get("icc_profile") == (srgb if mode == "RGB" else None)
    assert ("the colour profile is dropped" in " ".join(facts.notes)) == (mode == "CMYK")


def test_a_png_is_lossless_and_little_larger_than_at_level_six(photo):
    """It is made in a fraction of the time, but not by giving up on compressing."""
    data = write(photo, "png", None, None)
    assert len(data) <= 1.1 * len(file_of(photo, "PNG", compress_level=6))
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(photo))
