"""Decode an upload, within limits, into upright RGB pixels and the facts about them.

Decoding finds all damage: Pillow opens lazily and lets truncated files pass. ``look`` gives the
facts alone. Pillow's process-wide guards stay as Pillow ships them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from app.core.errors import UndecodableImage
from app.core.image import ImageFacts
from app.core.plan.geometry import Size
from app.imaging.read.opening import colour_profile, facts_of, open_image, reason

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold a decoded upload: upright 8-bit RGB ``pixels``, and the facts about the file.

    ``icc_profile`` is the colour profile of the pixels. A picture takes 4 bytes a pixel.
    """

    pixels: Image.Image
    icc_profile: bytes | None
    facts: ImageFacts

    @property
    def size(self) -> Size:
        """Return the size of the upright image."""
        return self.facts.size


def decode(data: bytes, *, max_pixels: int) -> Picture:
    """Decode an image file.

    Args:
        data: the file.
        max_pixels: the most pixels, checked in the header before any pixel is decoded.

    Raises:
        UnsupportedImageType: no signature of a format we take.
        TooManyPixels: width × height above the limit.
        UndecodableImage: a format we take, but damaged, truncated or empty.
    """
    image = open_image(data, max_pixels)
    facts, icc_profile = facts_of(image, data), colour_profile(image)
    pixels = load_rgb(image)
    return Picture(pixels, icc_profile, replace(facts, size=Size(*pixels.size)))


def load_rgb(image: Image.Image, *, turn: bool = True) -> Image.Image:
    """Decode all pixels of an opened image to 8-bit RGB without transparency or metadata.

    The result is upright, or lies as it is stored if ``turn`` is false.

    Raises:
        UndecodableImage: the file is damaged.
    """
    with _damage_refused():
        image.load()
        if turn:
            _turn_upright(image)
        rgb = _to_rgb(image)
    rgb.info.clear()
    return rgb


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise  # ours, not the file's
    except Exception as error:  # decoders raise whatever the damaged bytes lead them to
        raise UndecodableImage(f"the image cannot be decoded: {reason(error)}") from error


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # an EXIF block that cannot be read says nothing about orientation
        log.debug("unreadable EXIF", exc_info=True)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB as Molmo's loader does, but scale 16 bits instead of a cut at 255."""
    image.info.pop("transparency", None)  # dropped by the conversion too, but not silently
    if image.mode.startswith("I;16"):
        # Pillow would clip 16-bit grey to white.
        high = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(high).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
