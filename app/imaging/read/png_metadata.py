"""The orientation in a PNG's metadata, in time that is bounded.

Pillow keeps text by its keyword in the same dictionary as its own findings, so a keyword such as
``transparency`` changes what it reads; such files are left to it.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from app.imaging.read.orientation import orientation_of
from app.imaging.read.unusual import (
    MOST_COMPRESSED_BYTES,
    MOST_METADATA_BYTES,
    MOST_TEXT_BYTES,
    Unusual,
)

Chunks = list[tuple[bytes, bytes]]
"""Kind and body of each."""

_LEAST_BYTES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
"""Shorter ones make Pillow refuse the file."""
_NOT_TWICE = (b"IHDR", b"acTL", b"fcTL", b"fdAT")

_RAW_EXIF, _XMP = b"Raw profile type exif", b"XML:com.adobe.xmp"
_PILLOWS_OWN = frozenset(
    (b"exif", b"xmp", b"transparency", b"icc_profile", b"interlace", b"bbox", b"default_image",
     b"disposal", b"blend")
)  # fmt: skip


def orientation_in(chunks: Chunks) -> int:
    """The EXIF orientation, 1 to 8, that all chunks but IHDR and the image's come to.

    Raises:
        GIVING_UP: what Pillow reads in a way of its own, or what would take long to read.
    """
    found = _metadata(chunks)
    exif = found.exif
    if exif is None and found.exif_in_hex is not None:
        exif = _from_hex(_short_enough(found.exif_in_hex))
    return orientation_of(exif, found.xmp and _short_enough(found.xmp))


class _Metadata(NamedTuple):
    exif: bytes | None = None
    exif_in_hex: bytes | None = None
    xmp: bytes | None = None


def _metadata(chunks: Chunks) -> _Metadata:
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
    return found._replace(exif_in_hex=value) if key == _RAW_EXIF else found


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
    """Inflates compressed metadata, in all no more than the limits."""

    def __init__(self) -> None:
        self._left = MOST_METADATA_BYTES
        self._compressed_left = MOST_COMPRESSED_BYTES

    def inflate(self, compressed: bytes) -> bytes:
        """The bytes of a whole zlib stream."""
        self._compressed_left -= len(compressed)
        if self._compressed_left < 0:
            raise Unusual("too much compressed metadata")
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


def _short_enough(text: bytes) -> bytes:
    if len(text) > MOST_TEXT_BYTES:
        raise Unusual("a text that takes long to look into")
    return text


def _from_hex(text: bytes) -> bytes:
    """EXIF as ImageMagick stores it in text: a blank line, a name, a length, then lines of hex."""
    hex_lines = text.decode("latin-1").split("\n", 3)[3:]
    return bytes.fromhex("".join(hex_lines).replace("\n", ""))
