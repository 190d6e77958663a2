"""Open an upload with Pillow, within limits, and read the facts in its header.

No pixel is decoded, and Pillow's process-wide guards stay as Pillow ships them.
"""

import hashlib
import io
import re

from PIL import Image, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

from app.core.errors import TooManyPixels, UndecodableImage, UnsupportedImageType
from app.core.image import ImageFacts
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
_WEBP = WebPImagePlugin.WebPImageFile.format
_TIFF = TiffImagePlugin.TiffImageFile.format
_FORMATS = {
    b"\xff\xd8\xff": "JPEG",  # or MPO, a phone's format, which Pillow opens with the same plugin
    SIGNATURE: "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\x00": _TIFF,
    b"MM\x00*": _TIFF,
    b"II+\x00": _TIFF,  # BigTIFF
    b"MM\x00+": _TIFF,
}
"""The first bytes of a file give Pillow's name of its format.

Pillow knows a format only after its plugin is imported: those of WebP and TIFF here, the others by
Pillow.
"""
_ORIENTATION_TAG = 0x0112


def format_of(data: bytes) -> str | None:
    """Return Pillow's name of a file's format; None for all formats but the six we take.

    The first 12 bytes are enough.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _WEBP
    return next((form for start, form in _FORMATS.items() if data.startswith(start)), None)


def open_image(data: bytes, max_pixels: int) -> ImageFile:
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
        file = io.BytesIO(in_order(data) if form == "PNG" else data)
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


def facts_of(image: ImageFile, data: bytes) -> ImageFacts:
    """Collect the facts about the file ``data``, which Pillow opened as ``image``.

    Decoding changes ``image``, so read the facts before. An MPO of a phone is a JPEG.
    """
    orientation = _orientation(image)
    return ImageFacts(
        size=_upright_size(image, orientation),
        format="jpeg" if image.format == "MPO" else (image.format or "").lower(),
        byte_count=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        orientation=orientation,
        notes=_notes(image, orientation),
    )


def colour_profile(image: ImageFile) -> bytes | None:
    """Return the ICC profile of an opened image, if it describes the RGB pixels we make of it."""
    profile = image.info.get("icc_profile")
    if image.mode not in ("RGB", "RGBA") or _is_foreign(profile):
        return None
    return profile or None


def _is_foreign(profile: object) -> bool:
    """Return True for a profile of CMYK, grey or anything but RGB. Source: ICC.1:2022, 7.2.8.

    A damaged TIFF may have text or numbers for a profile.
    """
    return bool(profile) and not (isinstance(profile, bytes) and profile[16:20] == b"RGB ")


def _notes(image: ImageFile, orientation: int) -> tuple[str, ...]:
    mode, notes = image.mode, []
    if _is_animated(image):
        notes.append("only the first frame of several is read")
    if orientation != 1:
        notes.append(f"turned upright by EXIF orientation {orientation}")
    if "transparency" in image.info or mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        notes.append("transparency is dropped, as Molmo's loader does")
    if mode.startswith("I;16"):
        notes.append(
            "16-bit grey is reduced to its high byte; Molmo's loader would clip it to white"
        )
    elif mode in ("I", "F"):
        notes.append("32-bit grey is cut to 0…255, as Molmo's loader does")
    elif mode not in ("RGB", "RGBA"):
        notes.append(f"converted from {mode} to RGB")
    if _is_foreign(image.info.get("icc_profile")):
        notes.append("the colour profile is dropped, as it does not describe RGB pixels")
    return tuple(notes)


def _orientation(image: ImageFile) -> int:
    try:
        # The method of PngImageFile would decode all pixels to look behind them.
        value = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF does not make the pixels unreadable
        return 1
    # By equality, as Pillow looks it up when it turns the pixels: 6.0 and 6/1 are 6.
    return int(value) if value in range(1, 9) else 1


def _upright_size(image: ImageFile, orientation: int) -> Size:
    # Pillow gives a TIFF's upright size if the orientation tag (not XMP) rotates it.
    is_upright = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(
        _ORIENTATION_TAG
    ) in range(5, 9)
    lies = orientation >= 5
    return Size(image.height, image.width) if lies != is_upright else Size(*image.size)


def _is_animated(image: ImageFile) -> bool:
    """Return True for a file with more frames than the one we read; an MPO's are no frames."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # a GIF that is damaged behind its first frame, which is the one we read
        return False
