"""Open an upload with Pillow, within limits, as far as its header: no pixel is decoded.

Pillow's process-wide guards stay as Pillow ships them.
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
from app.imaging.read.facts import Header

TAKEN_FORMATS = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,  # also opens MPO, what phones write
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
"""Pillow's names. From the plugins themselves, as Pillow knows a format once its plugin is in."""

_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
)
_ORIENTATION_TAG = 0x0112


def has_known_signature(data: bytes) -> bool:
    """Whether a file begins as those of the formats we take do; its first 12 bytes tell."""
    return data.startswith(_SIGNATURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """The file, opened lazily, of a format and a size we take.

    Raises:
        UnsupportedImageType: no signature of a format we take.
        TooManyPixels: width × height above ``max_pixels``.
        UndecodableImage: a format we take, but its header cannot be read.
    """
    if not has_known_signature(data):
        raise UnsupportedImageType(
            "the bytes are not a JPEG, PNG, WebP, GIF, BMP or TIFF image",
            accepted=[
                "image/jpeg",
                "image/png",
                "image/webp",
                "image/gif",
                "image/bmp",
                "image/tiff",
            ],
            actual=data[:12].hex(),
        )
    try:
        image = Image.open(io.BytesIO(data), formats=TAKEN_FORMATS)
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


def header_of(image: Image.Image) -> Header:
    """What Pillow read of a file that it has just opened; of a PNG, of one that it has loaded.

    A PNG's EXIF may be behind its pixels. Looking for it Pillow would decode them here.
    """
    return Header(
        format=image.format or "",
        size=_stored_size(image),
        mode=image.mode,
        orientation=_orientation(image),
        animated=image.format != "MPO" and _is_animated(image),
        transparent="transparency" in image.info,
    )


def reason(error: Exception) -> str:
    """One line for the caller; file handles and addresses in reprs help nobody."""
    return re.sub(r"\s*<[^>]*>", "", str(error)).strip() or type(error).__name__


def _too_many(pixels: int | None, max_pixels: int, size: Size | None = None) -> TooManyPixels:
    announced = f"{size} px, " if size else ""
    return TooManyPixels(
        f"the header announces {announced}{pixels} pixels in all; the limit is {max_pixels}",
        limit=max_pixels,
        actual=pixels,
    )


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF does not make the pixels unreadable
        return 1
    # By equality, as Pillow looks it up when it turns the pixels: 6.0 and 6/1 are 6.
    return int(value) if value in range(1, 9) else 1


def _stored_size(image: Image.Image) -> Size:
    # Pillow gives a TIFF's upright size where the tag, not XMP, says that it lies on its side.
    swapped = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(
        _ORIENTATION_TAG
    ) in range(5, 9)
    return Size(image.height, image.width) if swapped else Size(image.width, image.height)


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a GIF that is damaged behind its first frame, which is the one we read
        return False
