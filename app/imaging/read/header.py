"""Read the facts of an upload without decoding its pixels.

Pillow's lazy opening reads the header, and the structure shows that the file is not cut off. Other
files are decoded in full. Only decoding refuses a damaged file with a readable header, so no file
is refused here if decoding accepts it. Damage inside of compressed pixels is not found here.
"""

from __future__ import annotations

from itertools import islice

from app.core.image import ImageFacts
from app.imaging.read.complete import START_OF_SCAN, is_whole, jpeg_segments
from app.imaging.read.decode import decode
from app.imaging.read.facts import facts_of
from app.imaging.read.opening import open_image
from app.imaging.read.png_chunks import IDAT, IEND, SIGNATURE, chunks

_MOST_PARTS = 256
"""A glance reads at most this many segments of a JPEG, or chunks of a PNG (8 KB of pixels each)."""

_MOST_METADATA_BYTES = 2**12
"""A glance reads at most this many bytes besides the pixels: a profile, or some 300 EXIF tags."""

_SLOW_CHUNKS = (b"zTXt", b"iTXt")
"""Text in these chunks may inflate to a thousand times its size."""


def glance(data: bytes, *, max_pixels: int) -> ImageFacts | None:
    """Return the facts of a JPEG or PNG with little metadata; None if :func:`look` must say.

    The work is bounded for any file: a few ms besides one SHA-256 of the bytes.

    Raises:
        TooManyPixels, UndecodableImage: as :func:`look` does.
    """
    return _facts(data, max_pixels) if _is_quick(data) else None


def look(data: bytes, *, max_pixels: int) -> ImageFacts:
    """Return the facts that ``decode(data, max_pixels=…).facts`` gives, with as little work.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as :func:`decode` does.
    """
    return _facts(data, max_pixels) or decode(data, max_pixels=max_pixels).facts


def _facts(data: bytes, max_pixels: int) -> ImageFacts | None:
    """Return the facts in the header of a file that is whole; None if only decoding can tell."""
    image = open_image(data, max_pixels)
    return facts_of(image, data) if is_whole(image, data) else None


def _is_quick(data: bytes) -> bool:
    """Return True for a JPEG or PNG of few parts, with few bytes besides its pixels."""
    walk = chunks(data) if data.startswith(SIGNATURE) else jpeg_segments(data)
    parts = list(islice(walk, _MOST_PARTS))
    has_end = bool(parts) and parts[-1][0] in (IEND, START_OF_SCAN)
    metadata_bytes = sum(end - start for kind, start, end in parts if kind != IDAT)
    is_plain = not any(kind in _SLOW_CHUNKS for kind, _, _ in parts)
    return has_end and is_plain and metadata_bytes <= _MOST_METADATA_BYTES
