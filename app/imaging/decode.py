"""Decode an upload, within limits, into upright RGB pixels and the facts about them.

Everything that can be wrong with the bytes is found here: Pillow opens lazily and lets truncated
files pass, so the image is decoded in full before anything is planned or queued. Pillow's
process-wide guards stay as Pillow ships them.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from dataclasses import dataclass

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from app.core.errors import TooManyPixels, UndecodableImage, UnsupportedImageType
from app.core.geometry import Size

log = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of an upload besides its pixels; ``size`` is that of the upright image.

    ``orientation`` is the EXIF value that was applied (1: upright as stored). ``notes`` say, in
    words, what of the file the pixels do not show.
    """

    size: Size
    format: str
    byte_count: int
    sha256: str
    orientation: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """An upload, decoded: upright 8-bit RGB ``pixels``, and the facts about it.

    Large: 4 bytes a pixel. Whoever needs only the facts should keep only those.
    """

    pixels: Image.Image
    icc_profile: bytes | None
    facts: ImageFacts

    @property
    def size(self) -> Size:
        return self.facts.size


def decode(data: bytes, *, max_pixels: int) -> Picture:
    """Decode an image file.

    Args:
        data: the file.
        max_pixels: refused above this, from the header, before any pixel is decoded.

    Raises:
        UnsupportedImageType: no signature of a format we take.
        TooManyPixels: width × height above the limit.
        UndecodableImage: a format we take, but damaged, truncated or empty.
    """
    image = open_image(data, max_pixels)
    stored_orientation = _orientation(image)
    notes = _notes(image, stored_orientation)
    icc_profile = colour_profile(image)
    pixels = load_rgb(image)
    facts = ImageFacts(
        size=Size(pixels.width, pixels.height),
        format=_plain_name(image),
        byte_count=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        orientation=stored_orientation,
        notes=notes,
    )
    return Picture(pixels, icc_profile, facts)


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Read the header only, and check type and announced size. Raises as :func:`decode` does."""
    if not _has_known_signature(data):
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
    return _open(data, max_pixels)


def colour_profile(image: Image.Image) -> bytes | None:
    """The ICC profile of an opened image, where it still holds once the pixels are RGB."""
    return image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None


def _has_known_signature(data: bytes) -> bool:
    return data.startswith(_SIGNATURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _open(data: bytes, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=TAKEN_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        announced = re.search(r"(\d+) pixels", str(error))
        raise _too_many(int(announced[1]) if announced else None, max_pixels) from error
    except MemoryError:
        raise  # ours, not the file's
    except Exception as error:  # plugins raise whatever the damaged bytes lead them to
        raise UndecodableImage(f"the image's header cannot be read: {_reason(error)}") from error
    if image.width * image.height > max_pixels:
        raise _too_many(image.width * image.height, max_pixels, Size(image.width, image.height))
    return image


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
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def load_rgb(image: Image.Image, *, turn: bool = True) -> Image.Image:
    """All pixels of an opened image, in 8-bit RGB without transparency or metadata.

    Upright, or as they are stored where ``turn`` is false. Raises UndecodableImage.
    """
    try:
        image.load()
        if turn:
            _turn_upright(image)
        rgb = _to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever the damaged bytes lead them to
        raise UndecodableImage(f"the image cannot be decoded: {_reason(error)}") from error
    rgb.info.clear()
    return rgb


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # an EXIF block that cannot be read says nothing about orientation
        log.debug("unreadable EXIF", exc_info=True)


def _to_rgb(image: Image.Image) -> Image.Image:
    """``convert("RGB")`` as Molmo's loader does, but 16 bits are scaled rather than cut at 255."""
    image.info.pop("transparency", None)  # dropped by the conversion too, but not silently
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey to white; the high byte is the picture.
        high = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(high).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _notes(image: Image.Image, orientation: int) -> tuple[str, ...]:
    notes = []
    if image.format != "MPO" and getattr(image, "is_animated", False):
        notes.append("only the first frame of several is read")
    if orientation != 1:
        notes.append(f"turned upright by EXIF orientation {orientation}")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        notes.append("transparency is dropped, as Molmo's loader does")
    if image.mode.startswith("I;16"):
        notes.append(
            "16-bit grey is reduced to its high byte; Molmo's loader would clip it to white"
        )
    elif image.mode in ("I", "F"):
        notes.append("32-bit grey is cut to 0…255, as Molmo's loader does")
    elif image.mode not in ("RGB", "RGBA"):
        notes.append(f"converted from {image.mode} to RGB")
    return tuple(notes)


def _plain_name(image: Image.Image) -> str:
    name = image.format or ""
    return "jpeg" if name == "MPO" else name.lower()


def _reason(error: Exception) -> str:
    """One line for the caller; file handles and addresses in reprs help nobody."""
    return re.sub(r"\s*<[^>]*>", "", str(error)).strip() or type(error).__name__
