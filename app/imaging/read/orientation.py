"""The orientation in EXIF or XMP metadata, by Pillow's rule (``Image.getexif``)."""

from __future__ import annotations

import re
from struct import Struct

from app.imaging.read.unusual import MOST_TAGS, Unusual

EXIF_PREFIX = b"Exif\0\0"

_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(="|>)([0-9])')
_TAG, _X_RESOLUTION_TAG = 0x0112, 0x011A
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Of one value of a TIFF type. Entries of other types are skipped."""

_ORDERS = {
    b"II*\0": (Struct("<L"), Struct("<H"), Struct("<HHLL"), 0),
    b"MM\0*": (Struct(">L"), Struct(">H"), Struct(">HHLL"), 16),
}
"""Offset, count, entry (tag, type, values, value or offset), and where in it a SHORT lies."""


def orientation_of(exif: bytes | None, xmp: bytes | None) -> int:
    """The EXIF orientation, 1 to 8: of the EXIF block, or of XMP if EXIF has no such tag.

    Raises:
        GIVING_UP: EXIF that Pillow reads only in part, or values of unexpected types.
    """
    value = _exif_orientation(exif) if exif else None
    if value is None and xmp and (found := _XMP_ORIENTATION.search(xmp)):
        value = int(found[2])
    return value if value is not None and 1 <= value <= 8 else 1


def _exif_orientation(exif: bytes) -> int | None:
    """The tag of the first directory, in range or not; TIFF 6.0, section 2."""
    block = exif.removeprefix(EXIF_PREFIX).removeprefix(EXIF_PREFIX)
    if not block:
        return None
    if block[:4] not in _ORDERS:
        raise Unusual("neither byte order of TIFF")
    offset, short, entry, shift = _ORDERS[block[:4]]
    start = offset.unpack_from(block, 4)[0]
    count = short.unpack_from(block, start)[0]
    entries = block[start + 2 : start + 2 + count * entry.size]
    if count > MOST_TAGS or len(entries) != count * entry.size:
        raise Unusual("a directory too long")
    orientation = None
    for tag, kind, values, value in entry.iter_unpack(entries):
        size = values * _BYTES.get(kind, 0)
        if size > 4 and value + size > len(block):
            raise Unusual("Pillow reads no further than a value outside the block")
        if tag == _TAG and orientation is None:
            if values != 1 or kind not in (_SHORT, _LONG):
                raise Unusual("an orientation that is no integer")
            orientation = value if kind == _LONG else value >> shift & 0xFFFF
        elif tag == _X_RESOLUTION_TAG and (values, kind) != (1, _RATIONAL):
            raise Unusual("Pillow may refuse a JPEG for a resolution of another type")
    return orientation
