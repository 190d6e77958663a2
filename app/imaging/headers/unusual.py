"""When a small parser gives up, and how much work it does before."""

from __future__ import annotations

import struct
import zlib

from app.core.errors import InvalidSize

MOST_PARTS = 10_000
"""Segments or chunks. libpng writes 8 KB a chunk: enough for 80 MB."""

MOST_TAGS = 1_000
"""EXIF entries in one directory; cameras write a few dozen."""

MOST_METADATA_BYTES = 2**20
"""Of all metadata of a PNG together, and of what its compressed parts inflate to."""


class Unusual(Exception):
    """Not what most files of the format look like: whole or not, Pillow must say."""


GIVING_UP = (Unusual, InvalidSize, IndexError, ValueError, struct.error, zlib.error)
"""What the parsers raise: ``Unusual``, or what bytes that are missing or damaged lead them to."""
