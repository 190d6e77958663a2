"""Whether a file's structure shows that all of its first frame is there."""

from __future__ import annotations

import struct

from PIL import BmpImagePlugin, GifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin

_LIBTIFF_ALWAYS_HAS = ("tiff_ccitt", "group3", "group4", "tiff_lzw", "jpeg", "tiff_adobe_deflate",
                       "packbits", "tiff_deflate")  # fmt: skip

_LARGEST_PALETTE_BYTES = 256 * 4


def is_whole(image: Image.Image, data: bytes) -> bool:
    """Whether ``data``, from which Pillow opened ``image``, surely is not cut off.

    False means that the structure does not show it, not that it is cut off.
    """
    if isinstance(image, WebPImagePlugin.WebPImageFile):
        return True  # libwebp opens no file whose RIFF chunks do not reach their ends
    if isinstance(image, GifImagePlugin.GifImageFile):
        return _gif_frame_ends(image.tile[0].offset, data)
    if isinstance(image, BmpImagePlugin.BmpImageFile):
        return _bmp_rows_fit(image, len(data))
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _tiff_tags_fit(image, data) and _tiff_parts_fit(image, len(data))
    return False


def _gif_frame_ends(position: int, data: bytes) -> bool:
    """Follow the frame's blocks, each led by its length, to the empty one at their end."""
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
    """Whether Pillow could read every tag; it goes without those whose values are cut off."""
    order = "<" if data.startswith(b"II") else ">"
    is_big = data[2] == 43  # as Pillow tells a BigTIFF
    (count,) = struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", data, image.tag_v2.offset)
    return bool(count == len(image.tag_v2))


def _tiff_parts_fit(image: TiffImagePlugin.TiffImageFile, byte_count: int) -> bool:
    """Whether every strip or tile lies in the file."""
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
