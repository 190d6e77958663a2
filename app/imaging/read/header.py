"""The facts of an upload without decoding its pixels: the same answer as decoding gives.

Three ways, each for what the one before leaves over:

1. ``glance``: JPEG and PNG headers by our own parsers. Microseconds.
2. Pillow's lazy opening, for GIF, BMP, TIFF and WebP whose structure shows that they are whole.
3. Full decoding, for whatever is unusual, or may be cut off: it alone refuses a damaged file.

So nothing is refused here that decoding takes. What only decoding finds is damage inside of
compressed pixels: such a file passes here.
"""

from __future__ import annotations

from app.core.image import ImageFacts
from app.imaging.read.complete import is_whole
from app.imaging.read.decode import decode
from app.imaging.read.facts import facts_of
from app.imaging.read.jpeg import read_jpeg
from app.imaging.read.opening import header_of, open_image
from app.imaging.read.png import read_png
from app.imaging.read.unusual import GIVING_UP

_PARSERS = ((b"\xff\xd8\xff", read_jpeg), (b"\x89PNG\r\n\x1a\n", read_png))


def glance(data: bytes, *, max_pixels: int) -> ImageFacts | None:
    """The facts of a usual JPEG or PNG within the limit; None where :func:`look` must say.

    Its work is bounded, whoever made the file: a few ms besides one SHA-256 of the bytes.
    """
    parse = next((parser for prefix, parser in _PARSERS if data.startswith(prefix)), None)
    if parse is None:
        return None
    try:
        header = parse(data)
    except GIVING_UP:
        return None
    if header.size.pixels > max_pixels:
        return None
    return facts_of(data, header, header.upright)


def look(data: bytes, *, max_pixels: int) -> ImageFacts:
    """The facts that ``decode(data, max_pixels=…).facts`` gives, with as little work as it takes.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as :func:`decode` does.
    """
    facts = glance(data, max_pixels=max_pixels)
    if facts is not None:
        return facts
    image = open_image(data, max_pixels)
    if is_whole(image, data):
        header = header_of(image)
        return facts_of(data, header, header.upright)
    return decode(data, max_pixels=max_pixels).facts
