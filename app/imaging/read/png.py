"""The header of a PNG with one frame; W3C PNG specification, third edition."""

from __future__ import annotations

import zlib
from struct import Struct

from app.core.plan.geometry import Size
from app.imaging.read.facts import Header
from app.imaging.read.png_metadata import Chunks, orientation_in
from app.imaging.read.unusual import (
    MOST_CHUNKS,
    MOST_METADATA_BYTES,
    MOST_METADATA_CHUNKS,
    Unusual,
)

_CHUNK, _CRC, _IHDR = Struct(">L4s"), Struct(">L"), Struct(">LLBBBBB")
_MODES = {
    (1, 0): "1", (2, 0): "L", (4, 0): "L", (8, 0): "L", (16, 0): "I;16",
    (8, 2): "RGB", (16, 2): "RGB",
    (1, 3): "P", (2, 3): "P", (4, 3): "P", (8, 3): "P",
    (8, 4): "LA", (16, 4): "RGBA",
    (8, 6): "RGBA", (16, 6): "RGBA",
}  # fmt: skip
"""Pillow's mode for (bits, colour type)."""

_LEAST_TRANSPARENCY = {"P": 0, "1": 2, "L": 2, "I;16": 2, "RGB": 6, "LA": 0, "RGBA": 0}
_NOT_LATE = (b"PLTE", b"tRNS")


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
    return Header(
        "PNG",
        Size(width, height),
        mode,
        orientation_in(early[1:] + late),
        transparent=_is_transparent(mode, dict(early)),
    )


def _chunks(data: bytes) -> tuple[Chunks, Chunks]:
    """All chunks but the image's, by kind and body: those before it, and those behind it."""
    early: Chunks = []
    late: Chunks = []
    image_bytes = metadata_bytes = 0
    position = 8
    for _ in range(MOST_CHUNKS):
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
            too_many = len(early) + len(late) >= MOST_METADATA_CHUNKS
            if too_many or metadata_bytes > MOST_METADATA_BYTES:
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
