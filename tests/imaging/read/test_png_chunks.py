"""PNG chunks: metadata in front of the pixels, and no file refused for its metadata."""

import zlib

import numpy as np
import pytest
from PIL import Image
from support import metadata
from support.images import file_of

from app.imaging.read.decode import decode
from app.imaging.read.header import look
from app.imaging.read.png_chunks import chunks, in_order, reach_end

LIMIT = 10**6
MOST = 2**20
IMAGE = Image.effect_noise((24, 10), 60).convert("RGB")
PNG = file_of(IMAGE, "PNG")
EXIF = metadata.chunk(b"eXIf", metadata.exif(6)[6:])


def damaged(chunk: bytes) -> bytes:
    """Change the last byte of the checksum."""
    return chunk[:-1] + bytes((chunk[-1] ^ 1,))


def text(kind: bytes, keyword: bytes, value: bytes) -> bytes:
    """Make a text chunk; compressed as zTXt, and as iTXt."""
    if kind == b"tEXt":
        return metadata.chunk(kind, keyword + b"\0" + value)
    flags = b"\0" if kind == b"zTXt" else b"\1\0\0\0"
    return metadata.chunk(kind, keyword + b"\0" + flags + zlib.compress(value))


def kinds(data: bytes) -> list[bytes]:
    return [kind for kind, _, _ in chunks(data)]


def test_a_plain_file_stays_as_it_is_but_for_its_end():
    assert in_order(PNG) == PNG[:-12]


def test_metadata_behind_the_pixels_comes_in_front():
    ordered = in_order(metadata.with_chunks(PNG, [], [EXIF]))
    assert kinds(ordered) == [b"IHDR", b"eXIf", b"IDAT"]


def test_only_the_last_of_several_is_passed_on():
    """As Pillow takes the last, and so that many of them take no time."""
    other = metadata.chunk(b"eXIf", metadata.exif(3)[6:])
    ordered = in_order(metadata.with_chunks(PNG, [other, other], [other, EXIF]))
    assert kinds(ordered) == [b"IHDR", b"eXIf", b"IDAT"]
    assert EXIF in ordered


BAD = {
    "damaged text": damaged(text(b"tEXt", b"Title", b"x")),
    "damaged EXIF": damaged(EXIF),
    "damaged profile": damaged(metadata.chunk(b"iCCP", b"a\0\0" + zlib.compress(b"x"))),
    "damaged transparency": damaged(metadata.chunk(b"tRNS", bytes(6))),
    "cut-off gamma": metadata.chunk(b"gAMA", b"\0"),
    "an unknown way of compression": metadata.chunk(b"zTXt", b"Title\0\7x"),
    "EXIF with an unknown way of compression": metadata.chunk(
        b"zTXt", b"Raw profile type exif\0\7x"
    ),
    "a profile with an unknown way of compression": metadata.chunk(b"iCCP", b"a\0\7x"),
    "a keyword of Pillow's own": text(b"tEXt", b"icc_profile", b"x"),
    "oversized profile": metadata.chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(MOST + 1))),
} | {
    f"oversized {kind!r}, {word!r}": text(kind, word, b"\n" * (MOST + 1))
    for kind in (b"zTXt", b"iTXt")
    for word in (b"Title", b"Raw profile type exif", b"XML:com.adobe.xmp")
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_no_file_is_refused_for_its_metadata(name, late):
    """The pixels and facts are those of the file without it."""
    bad = [BAD[name]]
    data = metadata.with_chunks(PNG, [] if late else bad, bad if late else [])
    picture = decode(data, max_pixels=LIMIT)
    assert np.array_equal(np.asarray(picture.pixels), np.asarray(IMAGE))
    assert picture.icc_profile is None
    assert look(data, max_pixels=LIMIT) == picture.facts
    assert picture.facts.notes == ()


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_text_of_the_largest_size_counts(kind):
    packet = metadata.xmp(6)
    chunk = text(kind, b"XML:com.adobe.xmp", packet + b" " * (MOST - len(packet)))
    data = metadata.with_chunks(PNG, [], [chunk])
    assert look(data, max_pixels=LIMIT).orientation == 6


@pytest.mark.parametrize("frames", [1, 2])
def test_an_orientation_behind_other_frames_is_not_that_of_the_first(frames):
    """Pillow stops at the second frame, too."""
    animated = file_of(IMAGE, "PNG", save_all=True, append_images=[IMAGE.rotate(180)])
    data = metadata.with_chunks(animated if frames == 2 else PNG, [], [EXIF])
    assert look(data, max_pixels=LIMIT).orientation == (6 if frames == 1 else 1)


def test_a_file_is_whole_if_its_chunks_lead_to_the_end():
    """With some pixels, in one run of chunks."""
    split = metadata.with_chunks(PNG, [], [metadata.chunk(b"tEXt", b"a\0b"), _pixels(PNG)])
    none = PNG.replace(_pixels(PNG), metadata.chunk(b"IDAT", b""))
    whole = [reach_end(chunks(data), len(data)) for data in (PNG, PNG + b"anything")]
    cut = [reach_end(chunks(data), len(data)) for data in (split, none, PNG[:-1], PNG[:8], b"")]
    assert all(whole)
    assert not any(cut)


def _pixels(data: bytes) -> bytes:
    return next(data[start:end] for kind, start, end in chunks(data) if kind == b"IDAT")
