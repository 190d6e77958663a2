"""Read the facts and notes about an image file, and its colour profile, from the opened header."""

from __future__ import annotations

import hashlib

from PIL import Image, TiffImagePlugin

from app.core.image import ImageFacts
from app.core.plan.geometry import Size

_ORIENTATION_TAG = 0x0112


def facts_of(image: Image.Image, data: bytes) -> ImageFacts:
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


def colour_profile(image: Image.Image) -> bytes | None:
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


def _notes(image: Image.Image, orientation: int) -> tuple[str, ...]:
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


def _orientation(image: Image.Image) -> int:
    try:
        # The method of PngImageFile would decode all pixels to look behind them.
        value = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF does not make the pixels unreadable
        return 1
    # By equality, as Pillow looks it up when it turns the pixels: 6.0 and 6/1 are 6.
    return int(value) if value in range(1, 9) else 1


def _upright_size(image: Image.Image, orientation: int) -> Size:
    # Pillow gives a TIFF's upright size if the orientation tag (not XMP) rotates it.
    is_upright = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(
        _ORIENTATION_TAG
    ) in range(5, 9)
    lies = orientation >= 5
    return Size(image.height, image.width) if lies != is_upright else Size(*image.size)


def _is_animated(image: Image.Image) -> bool:
    """Return True for a file with more frames than the one we read; an MPO's are no frames."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # a GIF that is damaged behind its first frame, which is the one we read
        return False
