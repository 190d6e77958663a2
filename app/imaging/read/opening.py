"""Open an upload with Pillow, within limits, as far as its header.

No pixel is decoded, and Pillow's process-wide guards stay as Pillow ships them.
"""

from __future__ import annotations

import io
import re

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from app.core.errors import TooManyPixels, UndecodableImage, UnsupportedImageType
from app.core.plan.geometry import Size
from app.imaging.read.png_chunks import SIGNATURE, in_order

MEDIA_TYPES: dict[str, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}
"""The media type of each format we take, by Pillow's name in lower case."""
_JPEG = JpegImagePlugin.JpegImageFile.format  # the plugin also opens MPO, a phone's format
_PNG = PngImagePlugin.PngImageFile.format
_GIF = GifImagePlugin.GifImageFile.format
_TIFF = TiffImagePlugin.TiffImageFile.format
_FORMATS = {
    b"\xff\xd8\xff": _JPEG,
    SIGNATURE: _PNG,
    b"GIF87a": _GIF,
    b"GIF89a": _GIF,
    b"BM": BmpImagePlugin.BmpImageFile.format,
    b"II*\x00": _TIFF,
    b"MM\x00*": _TIFF,
    b"II+\x00": _TIFF,
    b"MM\x00+": _TIFF,
}
"""The first bytes of a file give Pillow's name of its format.

The names come from the plugins: Pillow knows a format only after its plugin is imported.
"""


def format_of(data: bytes) -> str | None:
    """Return Pillow's name of a file's format; None for all formats but the six we take.

    The first 12 bytes are enough.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile.format
    return next((form for start, form in _FORMATS.items() if data.startswith(start)), None)


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Open a file lazily, if its format and size are among those we take.

    Raises:
        UnsupportedImageType: no signature of a format we take.
        TooManyPixels: width × height above ``max_pixels``.
        UndecodableImage: a format we take, but its header cannot be read.
    """
    form = format_of(data)
    if form is None:
        raise UnsupportedImageType(
            "the bytes are not a JPEG, PNG, WebP, GIF, BMP or TIFF image",
            accepted=list(MEDIA_TYPES.values()),
            actual=data[:12].hex(),
        )
    try:
        file = io.BytesIO(in_order(data) if form == _PNG else data)
        image = Image.open(file, formats=[form])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        announced = re.search(r"(\d+) pixels", str(error))
        raise _too_many(int(announced[1]) if announced else None, max_pixels) from error
    except MemoryError:
        raise  # ours, not the file's
    except Exception as error:  # plugins raise whatever the damaged bytes lead them to
        raise UndecodableImage(f"the image's header cannot be read: {reason(error)}") from error
    if image.width * image.height > max_pixels:
        raise _too_many(image.width * image.height, max_pixels, Size(image.width, image.height))
    return image


def reason(error: Exception) -> str:
    """Put an error in one line for the caller, without file handles and addresses."""
    return re.sub(r"\s*<[^>]*>", "", str(error)).strip() or type(error).__name__


def _too_many(pixels: int | None, max_pixels: int, size: Size | None = None) -> TooManyPixels:
    announced = f"{size} px, " if size else ""
    return TooManyPixels(
        f"the header announces {announced}{pixels} pixels in all; the limit is {max_pixels}",
        limit=max_pixels,
        actual=pixels,
    )
