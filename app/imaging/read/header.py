"""Read the facts of an upload without decoding its pixels.

Pillow's lazy opening reads the header, and the structure shows that the first frame is not cut off.
Other files are decoded in full. Only decoding refuses a damaged file with a readable header, so no
file is refused here if decoding accepts it. Damage inside of compressed pixels is not found here.
"""

import struct
from collections.abc import Sequence
from itertools import islice

from PIL import TiffImagePlugin
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.core.image import ImageFacts
from app.imaging.read.decode import decode
from app.imaging.read.opening import facts_of, open_image
from app.imaging.read.png_chunks import IDAT, IEND, SIGNATURE, Chunk, chunks, reach_end

_MOST_PARTS = 256
"""A glance reads at most this many segments of a JPEG, or chunks of a PNG (8 KB of pixels each)."""
_MOST_METADATA_BYTES = 2**12
"""A glance reads at most this many bytes besides the pixels: a profile, or some 300 EXIF tags."""
_SLOW_CHUNKS = (b"zTXt", b"iTXt")
"""Text in these chunks may inflate to a thousand times its size."""

_START_OF_IMAGE, _END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN = 0xDA
_USUAL_SEGMENTS = frozenset((0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE))
"""Markers of baseline and progressive JPEG; libjpeg decodes few of the other processes."""
_LONGEST_JPEG_SIDE_PX = 65_500
"""libjpeg refuses longer sides (its JPEG_MAX_DIMENSION)."""
_LIBTIFF_ALWAYS_HAS = ("tiff_ccitt", "group3", "group4", "tiff_lzw", "jpeg", "tiff_adobe_deflate",
                       "packbits", "tiff_deflate")  # fmt: skip
_LARGEST_PALETTE_BYTES = 256 * 4


def glance(data: bytes, *, max_pixels: int) -> ImageFacts | None:
    """Return the facts of a JPEG or PNG with little metadata; None if :func:`look` must say.

    The work is bounded for any file: a few ms besides one SHA-256 of the bytes.

    Raises:
        TooManyPixels, UndecodableImage: as :func:`look` does.
    """
    if data.startswith(SIGNATURE):
        found = list(islice(chunks(data), _MOST_PARTS))
        if not _are_quick(found):
            return None
        image = open_image(data, max_pixels)
        whole = reach_end(found, len(data))
    else:
        scan = scan_of_jpeg(data, _MOST_PARTS)
        if scan is None or scan - len(_START_OF_IMAGE) > _MOST_METADATA_BYTES:
            return None
        image = open_image(data, max_pixels)
        whole = _jpeg_ends(image, data, scan)
    return facts_of(image, data) if whole else None


def look(data: bytes, *, max_pixels: int) -> ImageFacts:
    """Return the facts that ``decode(data, max_pixels=…).facts`` gives, with as little work.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as :func:`decode` does.
    """
    image = open_image(data, max_pixels)
    if is_whole(image, data):
        return facts_of(image, data)
    return decode(data, max_pixels=max_pixels).facts


def is_whole(image: ImageFile, data: bytes) -> bool:
    """Return True if ``data``, which Pillow opened as ``image``, is certainly complete.

    False means that only decoding can tell.
    """
    match image:
        case JpegImageFile():  # a phone's MPO, too
            return _jpeg_ends(image, data, scan_of_jpeg(data, len(data)))
        case PngImageFile():
            return reach_end(chunks(data), len(data))
        case WebPImageFile():
            return True  # libwebp opens no file whose RIFF chunks do not reach their ends
        case GifImageFile():
            return _gif_frame_ends(image.tile[0].offset, data)
        case BmpImageFile():
            return _bmp_rows_fit(image, len(data))
        case TiffImagePlugin.TiffImageFile():
            return _tiff_tags_fit(image, data) and _tiff_parts_fit(image, len(data))
    return False


def _are_quick(parts: Sequence[Chunk]) -> bool:
    """Return True for chunks that lead to the end of a PNG, with few bytes besides its pixels."""
    has_end = bool(parts) and parts[-1][0] == IEND
    metadata_bytes = sum(end - start for kind, start, end in parts if kind != IDAT)
    is_plain = not any(kind in _SLOW_CHUNKS for kind, _, _ in parts)
    return has_end and is_plain and metadata_bytes <= _MOST_METADATA_BYTES


def scan_of_jpeg(data: bytes, most_segments: int) -> int | None:
    """Return the position behind the first scan's header in a JPEG.

    The result is None for a file of anything but the usual segments, or of more than
    ``most_segments`` in front of the scan. Source: ITU-T T.81, B.1.1.4.
    """
    position = len(_START_OF_IMAGE)
    if not data.startswith(_START_OF_IMAGE):
        return None
    for _ in range(most_segments):
        head = data[position : position + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] not in _USUAL_SEGMENTS:
            return None
        position += 2 + (head[2] << 8 | head[3])
        if head[1] == _START_OF_SCAN:
            return position
    return None


def _jpeg_ends(image: ImageFile, data: bytes, scan: int | None) -> bool:
    """Return True if an end-of-image marker follows the first scan's header.

    In a scan 0xff is followed by 0 or a restart marker, so the marker is never part of a scan. A
    comment between two scans may contain it.
    """
    fits = max(image.size) <= _LONGEST_JPEG_SIDE_PX
    return scan is not None and fits and data.rfind(_END_OF_IMAGE, scan) >= 0


def _gif_frame_ends(position: int, data: bytes) -> bool:
    """Follow the frame's blocks, each led by its length, to the empty block at their end."""
    start = position
    while position < len(data) and data[position]:
        position += data[position] + 1
    return start < position < len(data)


def _bmp_rows_fit(image: BmpImageFile, byte_count: int) -> bool:
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
