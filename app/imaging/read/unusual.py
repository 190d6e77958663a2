"""When a small parser gives up, and how much work it does before."""

from __future__ import annotations

import struct
import zlib

from app.core.errors import InvalidSize

MOST_SEGMENTS = 1_000
"""Of a JPEG before its first scan. Up to 64 KB each; an ICC profile may have 255."""

MOST_CHUNKS = 10_000
"""Of a PNG. libpng writes 8 KB of the image a chunk: enough for 80 MB."""

MOST_METADATA_CHUNKS = 500
"""Of a PNG, besides its image; each takes far longer than a chunk that is only skipped."""

MOST_TAGS = 1_000
"""EXIF entries in one directory; cameras write a few dozen."""

MOST_METADATA_BYTES = 2**20
"""Of all metadata of a PNG together, and of what its compressed parts inflate to."""

MOST_COMPRESSED_BYTES = 2**15
"""Of the compressed parts together. What they inflate to says little of the time that takes: a
stream may consist of empty blocks, of which each has a table to be built."""

MOST_TEXT_BYTES = 2**17
"""Of a PNG's text that is looked into: XMP, or EXIF in hex, of which that holds 64 KB."""


class Unusual(Exception):
    """Not what most files of the format look like: whole or not, Pillow must say."""


GIVING_UP = (Unusual, InvalidSize, IndexError, ValueError, struct.error, zlib.error)
"""What the parsers raise: ``Unusual``, or what bytes that are missing or damaged lead them to."""
