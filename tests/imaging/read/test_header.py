"""Facts from the header: those that decoding gives, whatever the file."""

import struct
import sys
import tracemalloc
import warnings
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import metadata
from support.images import file_of

from app.core.errors import CropPlannerError, TooManyPixels, UndecodableImage
from app.core.plan.geometry import Size
from app.imaging.read import unusual
from app.imaging.read.decode import decode
from app.imaging.read.header import glance, look
from app.imaging.read.jpeg import _segments

LIMIT = 4_000_000
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


@pytest.mark.parametrize("name", [name for name in FILES if name[:3] in ("JPE", "PNG", "MPO")])
def test_usual_jpeg_and_png_need_neither_pillow_nor_pixels(name):
    """But a PNG of several frames."""
    assert (glance(FILES[name], max_pixels=LIMIT) is None) == (
        name.startswith("PNG") and "frames" in name
    )


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


def jpeg_of(segments: int, body: bytes = b"") -> bytes:
    """A JPEG of just so many segments."""
    plain = FILES["JPEG RGB {}"]
    own = len(_segments(plain)[0])
    return metadata.with_segments(plain, [metadata.segment(0xE5, body)] * (segments - own))


def jpeg_with_tags(count: int) -> bytes:
    """A JPEG with so many EXIF entries."""
    entries = struct.pack("<H", count) + struct.pack("<HHLL", 0x9000, 3, 1, 0) * count + bytes(4)
    block = b"Exif\0\0II*\0\x08\0\0\0" + entries
    return metadata.with_segments(FILES["JPEG RGB {}"], [metadata.segment(0xE1, block)])


def png_of(*chunks: bytes) -> bytes:
    """A PNG with these chunks behind its image."""
    return metadata.with_chunks(FILES["PNG RGB {}"], [], list(chunks))


def png_in_parts(count: int) -> bytes:
    """A PNG of just so many chunks, almost all of them of the image, and empty."""
    empty = [metadata.chunk(b"IDAT", b"")] * (count - 3)
    return metadata.with_chunks(FILES["PNG RGB {}"], [], empty)


def compressed(text: bytes, key: bytes = b"a") -> bytes:
    return metadata.chunk(b"zTXt", key + b"\0\0" + zlib.compress(text))


def empty_blocks(byte_count: int) -> bytes:
    """Text that is nothing, in a zlib stream of just so many bytes."""
    stored = b"\0\0\0\xff\xff"
    fill = byte_count - 2 - 5 - 4
    stream = b"\x78\x01" + stored * (fill // 5) + b"\x01\0\0\xff\xff" + b"\0\0\0\1"
    return metadata.chunk(b"zTXt", b"a\0\0" + stream)


def exif_lines(byte_count: int) -> bytes:
    return compressed(b"\n" * byte_count, b"Raw profile type exif")


def xmp_of(byte_count: int) -> bytes:
    return metadata.xmp_chunk((b"tiff:Orientation" * byte_count)[:byte_count], compressed=True)


AT_THE_LIMIT = {
    "segments": (jpeg_of, unusual.MOST_SEGMENTS),
    "EXIF tags": (jpeg_with_tags, unusual.MOST_TAGS),
    "chunks": (png_in_parts, unusual.MOST_CHUNKS),
    "metadata chunks": (
        lambda count: png_of(*[compressed(b"")] * (count - 1)), unusual.MOST_METADATA_CHUNKS
    ),
    "metadata": (
        lambda size: png_of(metadata.chunk(b"tEXt", b"a".ljust(size - 13, b"\0"))),
        unusual.MOST_METADATA_BYTES,
    ),
    "inflated text": (
        lambda size: png_of(*[compressed(b" " * (size // 4))] * 3, compressed(b" " * (size // 4))),
        unusual.MOST_METADATA_BYTES - 4,
    ),
    "empty blocks": (lambda size: png_of(empty_blocks(size)), unusual.MOST_COMPRESSED_BYTES - 2),
    "lines of EXIF in text": (lambda size: png_of(exif_lines(size)), unusual.MOST_TEXT_BYTES),
    "XMP": (lambda size: png_of(xmp_of(size)), unusual.MOST_TEXT_BYTES),
}  # fmt: skip
"""The dearest files that are read at a glance, each by what makes it dear and how much of it."""


@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_the_dearest_files_take_bounded_work_and_those_beyond_are_left_to_a_worker(name):
    """Counted in lines of Python and in memory; the answer is the same either way."""
    make, limit = AT_THE_LIMIT[name]
    data = make(limit)
    lines, peak_bytes, facts = work_of(lambda: glance(data, max_pixels=LIMIT))
    assert facts is not None
    assert lines < 100_000
    assert peak_bytes < 3 * unusual.MOST_METADATA_BYTES
    beyond = make(limit + 8)
    assert glance(beyond, max_pixels=LIMIT) is None
    for either in (data, beyond):
        check_same(either)


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
