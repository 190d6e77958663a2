"""Decoding: every kind of file people have, within limits, in full, or a clear refusal."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, ImageOps, TiffImagePlugin
from support.images import file_of, sixteen_bit, with_orientation

from app.core.errors import CropPlannerError, TooManyPixels, UndecodableImage, UnsupportedImageType
from app.core.plan.geometry import Size
from app.imaging.read.decode import decode
from app.imaging.read.header import look

LIMIT = 64_000_000


def take(data: bytes, max_pixels: int = LIMIT):
    return decode(data, max_pixels=max_pixels)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO"])
def test_every_format_is_taken(photo, form):
    """And named plainly; a phone's MPO is a JPEG."""
    picture = take(file_of(photo, form))
    assert picture.size == Size(640, 427)
    assert picture.pixels.mode == "RGB"
    assert picture.facts.format == ("jpeg" if form == "MPO" else form.lower())


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "YCbCr", "LAB", "I;16"])
def test_every_mode_becomes_rgb(photo, mode):
    """And a grey ramp stays a picture: it is neither white nor black."""
    image = (
        sixteen_bit(photo)
        if mode == "I;16"
        else photo.convert("RGB").convert(mode if mode != "LAB" else "RGB")
    )
    form = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    picture = take(file_of(image, form))
    assert picture.pixels.mode == "RGB"
    grey = np.asarray(picture.pixels.convert("L"), dtype=float)
    wanted = np.asarray(photo.convert("L"), dtype=float)
    assert abs(grey.mean() - wanted.mean()) < 8
    assert grey.std() > 20


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_tiff_keeps_its_high_byte(order):
    """In either byte order; Pillow's own conversion would clip all but the darkest to white."""
    values = (np.arange(64 * 64, dtype=np.uint32) * 16).astype(np.uint16).reshape(64, 64)
    image = Image.fromarray(values.astype(f"{order}u2"))
    picture = take(file_of(image, "TIFF"))
    assert np.array_equal(np.asarray(picture.pixels)[..., 0], values >> 8)
    assert any("16-bit" in note for note in picture.facts.notes)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_and_reported(photo, form, orientation):
    """The size is that of the upright image, and the pixels are."""
    small = photo.resize((64, 40))
    data = with_orientation(small, form, orientation)
    picture = take(data)
    assert look(data, max_pixels=LIMIT) == picture.facts
    assert picture.facts.orientation == orientation
    assert picture.size == (Size(64, 40) if orientation < 5 else Size(40, 64))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = small.copy()
    stored.info["exif"] = exif.tobytes()
    wanted = np.asarray(ImageOps.exif_transpose(stored), dtype=float)
    assert abs(np.asarray(picture.pixels, dtype=float) - wanted).mean() < 12
    assert ("turned upright" in " ".join(picture.facts.notes)) == (orientation != 1)


def test_palette_with_transparency(photo):
    """Colours stay, transparency is dropped as Molmo's loader does, and a note says so."""
    palette = photo.quantize(16)
    picture = take(file_of(palette, "PNG", transparency=bytes([0, 128] + [255] * 14)))
    assert np.array_equal(np.asarray(picture.pixels), np.asarray(palette.convert("RGB")))
    assert any("transparency" in note for note in picture.facts.notes)


def test_only_the_first_frame_is_read_and_it_is_said(photo):
    frames = [photo.quantize(16), ImageOps.invert(photo).quantize(16)]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = take(data)
    assert any("first frame" in note for note in picture.facts.notes)
    assert np.array_equal(np.asarray(picture.pixels), np.asarray(frames[0].convert("RGB")))


def profile(space: bytes) -> bytes:
    """Make a colour profile of a colour space."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:16] + space + made[20:]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
@pytest.mark.parametrize("space", [b"RGB ", b"CMYK", b"GRAY"])
def test_a_colour_profile_stays_only_if_it_describes_the_rgb_pixels(photo, form, mode, space):
    """Neither one of CMYK nor of grey, whatever the pixels are; and it is said."""
    small = photo.resize((64, 40)).convert(mode)
    picture = take(file_of(small, form, icc_profile=profile(space)))
    fits = mode == "RGB" and space == b"RGB "
    assert picture.icc_profile == (profile(space) if fits else None)
    assert ("profile is dropped" in " ".join(picture.facts.notes)) == (space != b"RGB ")


@pytest.mark.parametrize("value", ["text", 7])
def test_a_colour_profile_that_is_no_bytes_is_dropped(value):
    """As a TIFF may have it."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[34675] = 2 if isinstance(value, str) else 3
    tags[34675] = value
    picture = take(file_of(Image.new("RGB", (8, 8)), "TIFF", tiffinfo=tags))
    assert picture.icc_profile is None


def test_the_pictures_of_an_mpo_are_no_frames(photo):
    """A phone's second picture is of another lens, or smaller."""
    data = file_of(photo, "MPO", save_all=True, append_images=[photo])
    assert take(data).facts.notes == ()


def test_facts_of_the_file(photo_bytes):
    picture = take(photo_bytes)
    assert picture.facts.byte_count == len(photo_bytes) == 112525
    assert picture.facts.sha256.startswith("c2dd0de7c538df8d")


def test_pixel_limit_is_checked_from_the_header(photo):
    """One pixel above is refused with both numbers, before the pixels are looked at."""
    data = file_of(photo, "PNG")
    pixels = 640 * 427
    assert take(data, max_pixels=pixels).size == Size(640, 427)
    with pytest.raises(TooManyPixels, match="273280 pixels") as caught:
        take(data[: len(data) // 2], max_pixels=pixels - 1)
    assert caught.value.facts == {"limit": pixels - 1, "actual": pixels}


def test_a_bomb_is_refused_cheaply():
    """A few bytes that announce 10 gigapixels, which Pillow itself refuses to open."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9))
    with pytest.raises(TooManyPixels) as caught:
        take(data)
    assert caught.value.facts == {"limit": LIMIT, "actual": 10_000_000_000}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_files_are_refused(photo, form, share):
    """Pillow opens them; decoding in full finds out."""
    data = file_of(photo, form)
    with pytest.raises((UndecodableImage, UnsupportedImageType)):
        take(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"\0" * 64,
     b"\0\0\0\x18ftypheic" + b"\0" * 40],
)  # fmt: skip
def test_other_types_are_unsupported(data):
    """With the list of what is taken; HEIC and SVG among the refused."""
    with pytest.raises(UnsupportedImageType, match="JPEG, PNG, WebP, GIF, BMP or TIFF"):
        take(data)


@settings(max_examples=150)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_files_give_a_picture_or_our_error(form, damage):
    """Whatever the bytes, nothing else comes out."""
    buffer = io.BytesIO()
    Image.effect_noise((48, 32), 60).convert("RGB").save(buffer, form)
    data = bytearray(buffer.getvalue())
    for position, value in damage:
        data[position % len(data)] = value
    try:
        picture = take(bytes(data), max_pixels=1_000_000)
    except CropPlannerError:
        return
    assert picture.pixels.mode == "RGB"


def test_pillows_guards_stay_on(photo_bytes):
    """Molmo's loader switches them off for the whole process; we never do."""
    take(photo_bytes)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
