"""Tell from a file's structure if all of its first frame is there."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from app.imaging.read.png_chunks import reaches_end

START_OF_SCAN = b"\xda"
_END_OF_IMAGE = b"\xff\xd9"
_USUAL_SEGMENTS = frozenset((0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE))
"""Markers of baseline and progressive JPEG; libjpeg decodes few of the other processes."""
_LONGEST_JPEG_SIDE_PX = 65_500
"""libjpeg refuses longer sides (its JPEG_MAX_DIMENSION)."""

_LIBTIFF_ALWAYS_HAS = ("tiff_ccitt", "group3", "group4", "tiff_lzw", "jpeg", "tiff_adobe_deflate",
                       "packbits", "tiff_deflate")  # fmt: skip

_LARGEST_PALETTE_BYTES = 256 * 4


def is_whole(image: Image.Image, data: bytes) -> bool:
    """Return True if ``data``, which Pillow opened as ``image``, is certainly complete.

    False means that only decoding can tell.
    """
    match image:
        case JpegImagePlugin.JpegImageFile():  # a phone's MPO, too
            return _jpeg_scan_ends(image, data)
        case PngImagePlugin.PngImageFile():
            return reaches_end(data)
        case WebPImagePlugin.WebPImageFile():
            return True  # libwebp opens no file whose RIFF chunks do not reach their ends
        case GifImagePlugin.GifImageFile():
            return _gif_frame_ends(image.tile[0].offset, data)
        case BmpImagePlugin.BmpImageFile():
            return _bmp_rows_fit(image, len(data))
        case TiffImagePlugin.TiffImageFile():
            return _tiff_tags_fit(image, data) and _tiff_parts_fit(image, len(data))
    return False


def jpeg_segments(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield marker, start and end of each segment, up to the first scan's header.

    Stop at anything but a usual marker. Source: ITU-T T.81, B.1.1.4.
    """
    position, marker = 2, b""  # behind the start of the image
    while marker != START_OF_SCAN and position + 4 <= len(data):
        marker = data[position + 1 : position + 2]
        if data[position] != 0xFF or marker[0] not in _USUAL_SEGMENTS:
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        yield marker, position, end
        position = end


def _jpeg_scan_ends(image: Image.Image, data: bytes) -> bool:
    """Return True if an end-of-image marker follows the first scan's header.

    In a scan 0xff is followed by 0 or a restart marker, so the marker is never part of a scan. A
    comment between two scans may contain it.
    """
    marker, end = b"", 0
    for marker, _, end in jpeg_segments(data):  # noqa: B007  # the last is wanted
        pass
    fits = max(image.size) <= _LONGEST_JPEG_SIDE_PX
    return marker == START_OF_SCAN and fits and data.rfind(_END_OF_IMAGE, end) >= 0


def _gif_frame_ends(position: int, data: bytes) -> bool:
    """Follow the frame's blocks, each led by its length, to the empty block at their end."""
    start = position
    while position < len(data) and data[position]:
        position += data[position] + 1
    return start < position < len(data)


def _bmp_rows_fit(image: BmpImagePlugin.BmpImageFile, byte_count: int) -> bool:
    codec, _, offset, arguments = image.tile[0]
    if codec != "raw" or not isinstance(arguments, tuple):
        return False  # run lengths
    if image.palette is not None and len(image.palette.palette) > _LARGEST_PALETTE_BYTES:
        return False  # Pillow opens it, and refuses to decode it
    _, row_bytes, _ = arguments
    return bool(offset + row_bytes * image.height <= byte_count)


def _tiff_tags_fit(image: TiffImagePlugin.TiffImageFile, data: bytes) -> bool:
    """Return True if Pillow read every tag: it leaves out tags with values that are cut off."""
    order = "<" if data.startswith(b"II") else ">"
    is_big = data[2] == 43  # as Pillow tells a BigTIFF
    (count,) = struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", data, image.tag_v2.offset)
    return bool(count == len(image.tag_v2))


def _tiff_parts_fit(image: TiffImagePlugin.TiffImageFile, byte_count: int) -> bool:
    """Return True if every strip or tile lies in the file."""
    compression = image.info["compression"]
    if compression != "raw" and compression not in _LIBTIFF_ALWAYS_HAS:
        return False
    tags = image.tag_v2
    if TiffImagePlugin.STRIPOFFSETS in tags:
        offsets = tags[TiffImagePlugin.STRIPOFFSETS]
        counts = tags.get(TiffImagePlugin.STRIPBYTECOUNTS, ())
    else:
        offsets = tags.get(TiffImagePlugin.TILEOFFSETS, ())
        counts = tags.get(TiffImagePlugin.TILEBYTECOUNTS, ())
    return (
        0 < len(offsets) == len(counts)
        and all(isinstance(value, int) for value in (*offsets, *counts))
        and all(counts)
        and all(offset + count <= byte_count for offset, count in zip(offsets, counts, strict=True))
    )
