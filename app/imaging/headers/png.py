"""The header and the metadata of a PNG with one frame; W3C PNG specification, third edition.

Pillow keeps text by its keyword in the same dictionary as its own findings, so a keyword such as
``transparency`` changes what it reads; such files are left to it.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import NamedTuple

from app.core.geometry import Size
from app.imaging.facts import Header
from app.imaging.headers.orientation import orientation_of
from app.imaging.headers.unusual import MOST_METADATA_BYTES, MOST_PARTS, Unusual

_CHUNK, _CRC, _IHDR = Struct(">L4s"), Struct(">L"), Struct(">LLBBBBB")
_MODES = {
    (1, 0): "1", (2, 0): "L", (4, 0): "L", (8, 0): "L", (16, 0): "I;16",
    (8, 2): "RGB", (16, 2): "RGB",
    (1, 3): "P", (2, 3): "P", (4, 3): "P", (8, 3): "P",
    (8, 4): "LA", (16, 4): "RGBA",
    (8, 6): "RGBA", (16, 6): "RGBA",
}  # fmt: skip
"""Pillow's mode for (bits, colour type)."""

_LEAST_BYTES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
"""Shorter ones make Pillow refuse the file."""
_LEAST_TRANSPARENCY = {"P": 0, "1": 2, "L": 2, "I;16": 2, "RGB": 6, "LA": 0, "RGBA": 0}
_NOT_TWICE = (b"IHDR", b"acTL", b"fcTL", b"fdAT")
_NOT_LATE = (b"PLTE", b"tRNS")

_RAW_EXIF, _XMP = b"Raw profile type exif", b"XML:com.adobe.xmp"
_PILLOWS_OWN = frozenset(
    (b"exif", b"xmp", b"transparency", b"icc_profile", b"interlace", b"bbox", b"default_image",
     b"disposal", b"blend")
)  # fmt: skip

_Chunks = list[tuple[bytes, bytes]]


class _Metadata(NamedTuple):
    exif: bytes | None = None
    raw_exif: bytes | None = None
    xmp: bytes | None = None


def read_png(data: bytes) -> Header:
    """The header of a PNG file that reaches its end.

    Raises:
        GIVING_UP: the file is not plain enough for this, or not whole.
    """
    early, late = _chunks(data)
    if not early or early[0][0] != b"IHDR" or len(early[0][1]) != _IHDR.size:
        raise Unusual("no plain IHDR at the start")
    width, height, bits, colours, _, filters, _ = _IHDR.unpack(early[0][1])
    mode = _MODES.get((bits, colours))
    if mode is None or filters or not (width and height):
        raise Unusual("a header that Pillow refuses")
    if any(kind in _NOT_LATE for kind, _ in late):
        raise Unusual("colours behind the image")
    found = _metadata(early[1:] + late)
    return Header(
        "PNG",
        Size(width, height),
        mode,
        orientation_of(found.raw_exif if found.exif is None else found.exif, found.xmp),
        transparent=_is_transparent(mode, dict(early)),
    )


def _chunks(data: bytes) -> tuple[_Chunks, _Chunks]:
    """All chunks but the image's, by kind and body: those before it, and those behind it."""
    early: _Chunks = []
    late: _Chunks = []
    image_bytes = metadata_bytes = 0
    position = 8
    for _ in range(MOST_PARTS):
        length, kind = _CHUNK.unpack_from(data, position)
        start, end = position + 8, position + 8 + length
        if kind == b"IDAT":
            if late:
                raise Unusual("image data in two places")
            image_bytes += length
        elif kind == b"IEND":
            if not image_bytes:
                raise Unusual("no image")
            return early, late
        else:
            metadata_bytes += length
            if metadata_bytes > MOST_METADATA_BYTES:
                raise Unusual("too much metadata")
            body = data[start:end]
            if not image_bytes:  # Pillow checks no others
                _check_sum(kind, body, _CRC.unpack_from(data, end)[0])
            (late if image_bytes else early).append((kind, body))
        position = end + 4
    raise Unusual("too many chunks")


def _check_sum(kind: bytes, body: bytes, crc: int) -> None:
    if zlib.crc32(body, zlib.crc32(kind)) != crc:
        raise Unusual("a damaged chunk")


def _is_transparent(mode: str, chunks: dict[bytes, bytes]) -> bool:
    if mode == "P" and (b"PLTE" not in chunks or len(chunks[b"PLTE"]) % 3):
        raise Unusual("no whole palette")
    if b"tRNS" not in chunks:
        return False
    if len(chunks[b"tRNS"]) < _LEAST_TRANSPARENCY[mode]:
        raise Unusual("a transparency that Pillow refuses")
    return mode not in ("LA", "RGBA")


def _metadata(chunks: _Chunks) -> _Metadata:
    """What Pillow would find in these chunks; of each kind the last counts."""
    found, budget = _Metadata(), _Budget()
    for kind, body in chunks:
        if kind in _NOT_TWICE or not kind.isalnum() or len(body) < _LEAST_BYTES.get(kind, 0):
            raise Unusual("a chunk out of order or too short")
        if kind == b"eXIf":
            found = found._replace(exif=body)
        elif kind == b"iCCP":
            budget.inflate(_compressed(body)[1])
        elif kind == b"tEXt":
            found = _with_text(found, *_split(body))
        elif kind == b"zTXt":
            key, value = _compressed(body)
            found = _with_text(found, key, budget.inflate(value))
        elif kind == b"iTXt":
            found = _with_international_text(found, body, budget)
    return found


def _with_text(found: _Metadata, key: bytes, value: bytes) -> _Metadata:
    if key in _PILLOWS_OWN or key == _XMP:
        raise Unusual("text that Pillow takes for something else")
    return found._replace(raw_exif=_raw_profile(value)) if key == _RAW_EXIF else found


def _with_international_text(found: _Metadata, body: bytes, budget: _Budget) -> _Metadata:
    key, rest = _split(body)
    compressed, method = rest[0], rest[1]
    language, translated_and_text = _split(rest[2:])
    translated, value = _split(translated_and_text)
    if key in _PILLOWS_OWN or key == _RAW_EXIF or method:
        raise Unusual("text that Pillow takes for something else")
    if compressed:
        value = budget.inflate(value)
    if key != _XMP:
        return found
    for part in (language, translated, value):
        part.decode("utf-8")  # or Pillow would not take it
    return found._replace(xmp=value)


class _Budget:
    """Inflates compressed metadata, in all no more than the limit."""

    def __init__(self) -> None:
        self._left = MOST_METADATA_BYTES

    def inflate(self, compressed: bytes) -> bytes:
        """The bytes of a whole zlib stream."""
        inflater = zlib.decompressobj()
        value = inflater.decompress(compressed, self._left)
        self._left -= len(value)
        if not inflater.eof or self._left <= 0:
            raise Unusual("a compressed text that is cut off or too long")
        return value


def _split(body: bytes) -> tuple[bytes, bytes]:
    first, found, rest = body.partition(b"\0")
    if not found:
        raise Unusual("no end of a keyword")
    return first, rest


def _compressed(body: bytes) -> tuple[bytes, bytes]:
    """Keyword and zlib stream of a zTXt or iCCP chunk."""
    key, rest = _split(body)
    if rest[0] != 0:
        raise Unusual("not zlib")
    return key, rest[1:]


def _raw_profile(text: bytes) -> bytes:
    """ImageMagick's way to store EXIF as text: a blank line, a name, a length, then hex."""
    return bytes.fromhex("".join(text.decode("latin-1").split("\n")[3:]))
