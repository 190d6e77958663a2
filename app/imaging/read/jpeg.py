"""The header of a baseline or progressive JPEG, up to its first scan; ITU-T T.81, annex B.

What is checked here is what Pillow and libjpeg refuse a file for before they decode its scans.
"""

from __future__ import annotations

from app.core.plan.geometry import Size
from app.imaging.read.facts import Header
from app.imaging.read.orientation import EXIF_PREFIX, orientation_of
from app.imaging.read.unusual import MOST_SEGMENTS, Unusual

_SOF = (0xC0, 0xC1, 0xC2)
_DHT, _SOS, _DQT, _DRI = 0xC4, 0xDA, 0xDB, 0xDD
_APP0, _APP1, _APP2, _APP13, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF, 0xFE
_TAKEN = frozenset((*_SOF, _DHT, _SOS, _DQT, _DRI, *range(_APP0, _APP15 + 1), _COM))
_END_OF_IMAGE = b"\xff\xd9"

_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_LONGEST_SIDE_PX = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_SAMPLINGS = frozenset(
    bytes.fromhex(factors)
    for factors in (
        "11", "12", "21", "22", "111111", "121111", "211111", "221111", "411111",
        "11111111", "21111121", "22111122",
    )
)  # fmt: skip
"""Across and down per layer, a digit each: none, 4:4:0, 4:2:2, 4:2:0, 4:1:1; CMYK and YCCK."""

_Segments = list[tuple[int, bytes]]


def read_jpeg(data: bytes) -> Header:
    """The header of a JPEG file with its end in place.

    Raises:
        GIVING_UP: the file is not plain enough for this, or not whole.
    """
    segments, scan = _segments(data)
    # In a scan 0xff is followed by 0 or a restart marker, so this is no chance sequence of it.
    if data.rfind(_END_OF_IMAGE, scan) < 0:
        raise Unusual("no end of the image")
    frames = [body for marker, body in segments if marker in _SOF]
    if len(frames) != 1:
        raise Unusual("not one frame")
    _check_tables(segments)
    _check_scan(segments[-1][1], frames[0])
    size, mode = _frame(frames[0])
    return Header("JPEG", size, mode, orientation_of(*_exif_and_xmp(segments)))


def _segments(data: bytes) -> tuple[_Segments, int]:
    """The segments up to and with the first scan's header, and where that scan's data begin."""
    segments = []
    position = 2  # behind the start of the image
    for _ in range(MOST_SEGMENTS):
        marker = data[position + 1]
        if data[position] != 0xFF or marker not in _TAKEN:
            raise Unusual("not a marker of baseline or progressive JPEG")
        end = position + 2 + (data[position + 2] << 8 | data[position + 3])
        if not position + 4 <= end <= len(data):
            raise Unusual("a segment that ends outside the file")
        segments.append((marker, data[position + 4 : end]))
        if marker == _SOS:
            return segments, end
        position = end
    raise Unusual("too many segments")


def _frame(body: bytes) -> tuple[Size, str]:
    """Size and mode from a frame header, T.81 B.2.2."""
    precision, height, width, layers = body[0], _uint16(body, 1), _uint16(body, 3), body[5]
    if precision != 8 or layers not in _MODES or len(body) != 6 + 3 * layers:
        raise Unusual("not 8 bits in 1, 3 or 4 layers")
    if not (0 < width <= _LONGEST_SIDE_PX and 0 < height <= _LONGEST_SIDE_PX):
        raise Unusual("a size libjpeg refuses")
    if body[7::3] not in _SAMPLINGS:
        raise Unusual("sampling that libjpeg may refuse")
    return Size(width, height), _MODES[layers]


def _check_scan(body: bytes, frame: bytes) -> None:
    layers = body[0]
    if len(body) != 2 * layers + 4 or not set(body[1:-3:2]) <= set(frame[6::3]):
        raise Unusual("a scan of layers that the frame has not")


def _check_tables(segments: _Segments) -> None:
    """Segments that Pillow reads, and refuses the file if they are too short."""
    for marker, body in segments:
        if marker == _DQT:
            if len(body) % 65 or max(body[::65], default=0) > 3:
                raise Unusual("quantization tables that are not 8-bit")
        elif (
            (marker == _APP0 and body.startswith(b"JFIF") and len(body) < 7)
            or (marker == _APP2 and body.startswith(b"ICC_PROFILE\0") and len(body) < 14)
            or (marker == _APP13 and body[-6:-2] == b"8BIM")
            or (marker == _APP14 and body.startswith(b"Adobe") and len(body) < 7)
        ):
            raise Unusual("a cut-off application segment")


def _exif_and_xmp(segments: _Segments) -> tuple[bytes, bytes | None]:
    """EXIF parts joined, and the last XMP packet, as Pillow takes them."""
    exif: list[bytes] = []
    xmp = None
    for marker, body in segments:
        if marker == _APP1:
            if body.startswith(EXIF_PREFIX):
                exif.append(body.removeprefix(EXIF_PREFIX) if exif else body)
            elif body.startswith(_XMP_PREFIX):
                xmp = body.removeprefix(_XMP_PREFIX)
    return b"".join(exif), xmp


def _uint16(data: bytes, position: int) -> int:
    return data[position] << 8 | data[position + 1]
