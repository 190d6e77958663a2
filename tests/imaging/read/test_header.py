"""Facts from the header: those that decoding gives, whatever the file."""

import io
import struct
import sys
import tracemalloc
import warnings
import zlib
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import metadata
from support.images import file_of

from app.core.errors import CropPlannerError, TooManyPixels, UndecodableImage
from app.core.plan.geometry import Size
from app.imaging.read import header
from app.imaging.read.decode import decode
from app.imaging.read.header import glance, look

LIMIT = 4_000_000
ROWS_PER_STRIP, STRIP_BYTE_COUNTS = 278, 279
SIZE = (24, 10)
OPTIONS = [
    ("JPEG", "L", {}), ("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "RGB", {"subsampling": 0, "icc_profile": b"profile" * 99}), ("JPEG", "CMYK", {}),
    ("MPO", "RGB", {}), ("MPO", "RGB", {"save_all": True, "frames": 2}),
    ("PNG", "1", {}), ("PNG", "L", {}), ("PNG", "LA", {}), ("PNG", "P", {}), ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}), ("PNG", "I;16", {}), ("PNG", "L", {"transparency": 7}),
    ("PNG", "RGB", {"transparency": (1, 2, 3)}), ("PNG", "P", {"transparency": 1}),
    ("PNG", "RGB", {"icc_profile": b"profile" * 99}),
    ("PNG", "RGB", {"save_all": True, "frames": 2}),
    ("WEBP", "RGB", {}), ("WEBP", "RGB", {"lossless": True}), ("WEBP", "RGBA", {}),
    ("WEBP", "RGB", {"save_all": True, "frames": 2}),
    ("GIF", "L", {}), ("GIF", "P", {}), ("GIF", "P", {"transparency": 1}),
    ("GIF", "P", {"save_all": True, "frames": 2}),
    ("BMP", "1", {}), ("BMP", "L", {}), ("BMP", "P", {}), ("BMP", "RGB", {}), ("BMP", "RGBA", {}),
    ("TIFF", "1", {"compression": "group4"}), ("TIFF", "L", {}), ("TIFF", "LA", {}),
    ("TIFF", "P", {}), ("TIFF", "RGB", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}), ("TIFF", "RGB", {"big_tiff": True}),
    ("TIFF", "YCbCr", {"compression": "jpeg"}), ("TIFF", "CMYK", {}), ("TIFF", "I;16", {}),
    ("TIFF", "F", {}), ("TIFF", "LAB", {}), ("TIFF", "RGB", {"save_all": True, "frames": 2}),
]  # fmt: skip


def made(form: str, mode: str, options: dict) -> bytes:
    """A small file with some structure in it."""
    options = dict(options)
    grey = Image.effect_noise(SIZE, 60)
    image = Image.new(mode, SIZE) if mode in ("LAB", "I;16") else grey.convert(mode)
    if frames := options.pop("frames", 0):
        options["append_images"] = [Image.effect_noise(SIZE, 90).convert(mode)] * (frames - 1)
    return file_of(image, form, **options)


FILES = {f"{form} {mode} {options}": made(form, mode, options) for form, mode, options in OPTIONS}


def outcome(read, data: bytes):
    """The facts, or the error: its type, words and facts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about damaged metadata
        try:
            answer = read(data, max_pixels=LIMIT)
        except CropPlannerError as error:
            return type(error), error.detail, error.facts
    return getattr(answer, "facts", answer)


def check_same(data: bytes) -> None:
    assert outcome(look, data) == outcome(decode, data)


@pytest.mark.parametrize("name", FILES)
def test_facts_are_those_of_decoding(name):
    """Every format, mode and sort of file."""
    check_same(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_needs_no_decoding(name):
    """Every format, even a PNG of several frames."""
    with patch.object(header, "decode", side_effect=AssertionError):
        assert look(FILES[name], max_pixels=LIMIT).size == Size(*SIZE)


@pytest.mark.parametrize("name", FILES)
def test_a_jpeg_or_png_with_little_metadata_is_read_at_a_glance(name):
    facts = glance(FILES[name], max_pixels=LIMIT)
    assert (facts is not None) == (name[:3] in ("JPE", "PNG", "MPO"))
    assert facts in (None, look(FILES[name], max_pixels=LIMIT))


def test_no_other_format_is_taken_for_a_jpeg():
    """Though the bytes behind its signature are those of segments."""
    assert glance(b"BM" + FILES["JPEG RGB {}"][2:], max_pixels=LIMIT) is None


@pytest.mark.parametrize("name", FILES)
def test_a_cut_off_file_fares_as_with_decoding(name):
    """At every byte: refused by both in the same words, or taken by both."""
    data = FILES[name]
    for length in range(len(data)):
        check_same(data[:length])


@settings(max_examples=400)
@given(
    st.sampled_from(list(FILES)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    st.sampled_from([40, 200, 10**6]),
)
def test_a_damaged_file_is_not_refused_where_decoding_takes_it(name, damage, reach):
    """And then the facts are the same; nothing but our errors comes out."""
    data = bytearray(FILES[name])
    for position, value in damage:
        data[position % min(reach, len(data))] = value
    decoded, looked = outcome(decode, bytes(data)), outcome(look, bytes(data))
    if isinstance(looked, tuple) or not isinstance(decoded, tuple):
        assert looked == decoded


def started(*starts: bytes) -> st.SearchStrategy[bytes]:
    """A segment that readers know by its start, most often cut off soon after."""
    return st.builds(lambda start, rest: start + rest, st.sampled_from(starts), st.binary())


exif_blocks = st.builds(
    metadata.exif,
    st.one_of(st.none(), st.integers(0, 9)),
    order=st.sampled_from("<>"),
    kind=st.sampled_from([1, 3, 3, 3, 4, 9, 11]),
    values=st.sampled_from([1, 1, 1, 2, 0]),
    damaged=st.sampled_from([False, False, False, True]),
)
garbled = st.builds(lambda block, cut: block[:cut], exif_blocks, st.integers(0, 20))
xmp_packets = st.builds(metadata.xmp, st.integers(0, 9), as_element=st.booleans())


@settings(max_examples=250)
@given(
    st.lists(
        st.one_of(
            st.builds(lambda block: metadata.segment(0xE1, block), exif_blocks | garbled),
            st.builds(metadata.xmp_segment, xmp_packets),
            st.builds(metadata.segment, st.just(0xE0), started(b"JFIF\0")),
            st.builds(metadata.segment, st.just(0xE2), started(b"ICC_PROFILE\0", b"MPF\0")),
            st.builds(metadata.segment, st.just(0xED), started(b"Photoshop 3.0\x008BIM")),
            st.builds(metadata.segment, st.just(0xEE), started(b"Adobe")),
            st.builds(metadata.segment, st.integers(0xE0, 0xEF) | st.just(0xFE), st.binary()),
        ),
        max_size=4,
    ),
    st.sampled_from([b"", b"trailing bytes", b"\0" * 5000]),
)
def test_orientation_of_a_jpeg_is_that_of_decoding(segments, trailer):
    """EXIF in both orders and several segments, XMP, damage, whatever else is there."""
    check_same(metadata.with_segments(FILES["JPEG RGB {}"], segments) + trailer)


text = st.sampled_from(
    [b"Title\0x", b"transparency\0x", b"exif\0x", b"xmp\0x", b"icc_profile\0x", b"no end", b""]
)
chunks = st.lists(
    st.one_of(
        st.builds(lambda block: metadata.chunk(b"eXIf", block[6:]), exif_blocks | garbled),
        st.builds(metadata.xmp_chunk, xmp_packets, compressed=st.booleans()),
        st.builds(
            lambda block: metadata.chunk(
                b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(metadata.raw_profile(block))
            ),
            exif_blocks,
        ),
        st.builds(
            lambda block: metadata.chunk(
                b"tEXt", b"Raw profile type exif\0" + metadata.raw_profile(block)[:-3]
            ),
            exif_blocks,
        ),
        st.builds(metadata.chunk, st.sampled_from([b"tEXt", b"zTXt", b"iTXt"]), text),
        st.builds(
            metadata.chunk,
            st.sampled_from([b"gAMA", b"cHRM", b"pHYs", b"sRGB", b"iCCP", b"tRNS", b"prVt"]),
            st.binary(max_size=40),
        ),
    ),
    max_size=3,
)


@settings(max_examples=400)
@given(st.sampled_from(["PNG RGB {}", "PNG P {}", "PNG I;16 {}"]), chunks, chunks)
def test_orientation_of_a_png_is_that_of_decoding(name, early, late):
    """EXIF as chunk and as text, XMP plain and compressed, on both sides of the image."""
    check_same(metadata.with_chunks(FILES[name], early, late))


@settings(max_examples=60)
@given(st.sampled_from(["WEBP", "TIFF"]), st.none() | st.integers(0, 9), xmp_packets | st.none())
def test_orientation_of_webp_and_tiff_is_that_of_decoding(form, orientation, packet):
    """A TIFF on its side by its tag, or by XMP alone, which Pillow tells apart."""
    tags = Image.Exif()
    if orientation is not None:
        tags[0x0112] = orientation
    if form == "TIFF" and packet:
        tags[700] = packet
    options = {"xmp": packet} if form == "WEBP" and packet else {}
    image = Image.effect_noise(SIZE, 60).convert("RGB")
    check_same(file_of(image, form, exif=tags if form == "TIFF" else tags.tobytes(), **options))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_xmp_counts_only_where_exif_is_silent(orientation):
    other = metadata.xmp_segment(metadata.xmp(9 - orientation))
    for silent in [None, orientation]:
        block = metadata.segment(0xE1, metadata.exif(silent))
        facts = glance(
            metadata.with_segments(FILES["JPEG RGB {}"], [other, block]), max_pixels=LIMIT
        )
        assert facts.orientation == (9 - orientation if silent is None else orientation)
        assert facts.size == (Size(24, 10) if facts.orientation < 5 else Size(10, 24))


def test_damage_inside_of_the_pixels_is_found_by_decoding_alone():
    data = bytearray(FILES["PNG RGB {}"])
    data[data.index(b"IDAT") + 20] ^= 0xFF
    assert look(bytes(data), max_pixels=LIMIT).size == Size(*SIZE)
    with pytest.raises(UndecodableImage):
        decode(bytes(data), max_pixels=LIMIT)


@pytest.mark.parametrize("name", ["JPEG RGB {}", "PNG RGB {}", "GIF L {}"])
def test_pixel_limit_is_exact_and_refused_as_by_decoding(name):
    pixels = SIZE[0] * SIZE[1]
    assert look(FILES[name], max_pixels=pixels).size.pixels == pixels
    for read in (look, decode):
        with pytest.raises(TooManyPixels, match="240 pixels in all; the limit is 239"):
            read(FILES[name], max_pixels=pixels - 1)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [65_500, 65_501])
def test_a_long_side_is_left_to_decoding_where_libjpeg_refuses_it(form, side):
    data = file_of(Image.new("L", (8, 1)), form)
    announced = side.to_bytes(2) if form == "JPEG" else side.to_bytes(4)
    place = data.index(b"\xff\xc0") + 7 if form == "JPEG" else 16
    data = data[:place] + announced + data[place + len(announced) :]
    if form == "PNG":
        data = data[:29] + zlib.crc32(data[12:29]).to_bytes(4) + data[33:]
    with patch.object(header, "decode", side_effect=UndecodableImage("decoded")):
        if form == "JPEG" and side > 65_500:
            with pytest.raises(UndecodableImage, match="decoded"):
                look(data, max_pixels=LIMIT)
        else:
            assert look(data, max_pixels=LIMIT).size.width == side


def test_a_gif_without_any_pixels_is_refused_as_by_decoding():
    data = FILES["GIF L {}"]
    with Image.open(io.BytesIO(data)) as image:
        start = image.tile[0].offset
    check_same(data[:start] + b"\0;")
    with pytest.raises(UndecodableImage):
        look(data[:start] + b"\0;", max_pixels=LIMIT)


def test_a_tiff_with_an_empty_strip_is_refused_as_by_decoding():
    image = Image.effect_noise(SIZE, 60).convert("RGB")
    data = file_of(image, "TIFF", compression="tiff_lzw", tiffinfo={ROWS_PER_STRIP: 4})
    entry = data.index(struct.pack("<HHL", STRIP_BYTE_COUNTS, 3, 3))
    (counts,) = struct.unpack_from("<L", data, entry + 8)
    empty = data[: counts + 2] + bytes(2) + data[counts + 4 :]
    check_same(empty)
    with pytest.raises(UndecodableImage):
        look(empty, max_pixels=LIMIT)


@pytest.mark.parametrize("colours", [256, 257])
def test_a_bmp_with_too_large_a_palette_is_refused_as_by_decoding(colours):
    data = bytearray(FILES["BMP P {}"])
    start, used = struct.unpack_from("<L", data, 10)[0], struct.unpack_from("<L", data, 46)[0]
    more = 4 * (colours - (used or 256))
    data[10:14], data[46:50] = struct.pack("<L", start + more), struct.pack("<L", colours)
    check_same(bytes(data[:start]) + bytes(more) + bytes(data[start:]))


@pytest.mark.parametrize("marker", [0xC3, 0xC9])
def test_lossless_and_arithmetic_jpegs_are_left_to_decoding(marker):
    data = FILES["JPEG RGB {}"].replace(b"\xff\xc0", bytes((0xFF, marker)))
    decoding = patch.object(header, "decode", side_effect=UndecodableImage("decoded"))
    with decoding, pytest.raises(UndecodableImage, match="decoded"):
        look(data, max_pixels=LIMIT)


def jpeg_with(segments: int, byte_count: int = 4) -> bytes:
    """Make a JPEG with so many segments more, each of so many bytes."""
    segment = metadata.segment(0xE5, bytes(byte_count - 4))
    return metadata.with_segments(FILES["JPEG RGB {}"], [segment] * segments)


def jpeg_with_tags(count: int) -> bytes:
    """Make a JPEG with so many EXIF entries."""
    tags = (struct.pack("<HHLL", 0x9000 + number, 3, 1, 0) for number in range(count))
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + b"".join(tags) + bytes(4)
    return metadata.with_segments(FILES["JPEG RGB {}"], [metadata.segment(0xE1, block)])


def png_with(chunks: int, byte_count: int = 12, kind: bytes = b"prVt") -> bytes:
    """Make a PNG with so many chunks more behind its pixels, each of so many bytes."""
    chunk = metadata.chunk(kind, bytes(byte_count - 12))
    return metadata.with_chunks(FILES["PNG RGB {}"], [], [chunk] * chunks)


def profile_of(byte_count: int) -> bytes:
    """Make a PNG with a colour profile that inflates to so many bytes."""
    chunk = metadata.chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(byte_count)))
    return metadata.with_chunks(FILES["PNG RGB {}"], [chunk], [])


DEAREST = {
    "segments": jpeg_with(240),
    "bytes": jpeg_with(1, 3000),
    "EXIF tags": jpeg_with_tags(280),
    "chunks": png_with(240),
    "empty pixel chunks": png_with(240, kind=b"IDAT"),
    "profile": profile_of(2**20),
}
"""Files that a glance takes, each by what makes it dear."""

DEARER = {
    "segments": jpeg_with(260),
    "bytes": jpeg_with(1, 4200),
    "EXIF tags": jpeg_with_tags(350),
    "chunks": png_with(260),
    "empty pixel chunks": png_with(260, kind=b"IDAT"),
    "compressed text": png_with(1, kind=b"zTXt"),
    "compressed text in UTF-8": png_with(1, kind=b"iTXt"),
}
"""Files beyond a limit of the glance."""


@pytest.mark.parametrize("name", DEAREST)
def test_the_dearest_glance_is_bounded(name):
    """Counted in lines of Python, and in memory."""
    lines, peak_bytes, facts = work_of(lambda: glance(DEAREST[name], max_pixels=LIMIT))
    assert facts is not None
    assert lines < 20_000
    assert peak_bytes < 4 * 2**20
    check_same(DEAREST[name])


@pytest.mark.parametrize("name", DEARER)
def test_files_beyond_the_limits_are_left_to_a_worker(name):
    """With the same facts."""
    assert glance(DEARER[name], max_pixels=LIMIT) is None
    check_same(DEARER[name])


def test_metadata_of_exactly_the_limit_is_read_at_a_glance():
    """One byte more is not."""
    scan = header.scan_of_jpeg(FILES["JPEG RGB {}"], header._MOST_PARTS)
    left = header._MOST_METADATA_BYTES + len(header._START_OF_IMAGE) - scan
    assert glance(jpeg_with(1, left), max_pixels=LIMIT) is not None
    assert glance(jpeg_with(1, left + 1), max_pixels=LIMIT) is None


def work_of(call):
    """Lines of Python that a call runs, bytes it has at most besides what was there, its answer."""
    lines = 0

    def count(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return count

    tracemalloc.start()
    before, outer = tracemalloc.get_traced_memory()[0], sys.gettrace()
    try:
        answer = call()
        peak = tracemalloc.get_traced_memory()[1]
        sys.settrace(count)
        call()
    finally:
        sys.settrace(outer)
        tracemalloc.stop()
    return lines, peak - before, answer
