"""Pixels as a file stores them: perhaps turned, perhaps at a fraction of their size.

A photo that is made much smaller need be neither decoded nor turned in full: a JPEG decoder gives
a half or a quarter of the size for less, and what is turned last is turned small.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from app.core.image import ImageFacts
from app.core.plan.geometry import Box, Size
from app.imaging.read.decode import Picture, colour_profile, load_rgb
from app.imaging.read.opening import open_image
from app.imaging.write.resample import Resample, resize

HALF_FROM, QUARTER_FROM = 5.0, 20.0
"""Reductions from which a JPEG is decoded at a half and at a quarter of its size.

At least 2.5 and 5 times the px that are needed remain, and the median photo is 54 and 56 dB from
what decoding in full gives (docs/method/pixels.md). A half is taken early, as it saves a third of
the time; a quarter late, as it saves little more. An eighth would save next to nothing: most of the
time is spent on the entropy coding of all of the file by then.
"""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings pixels stored with an EXIF orientation upright."""


@dataclass(frozen=True, slots=True)
class Raster:
    """Decoded pixels and how they lie in the picture they are of.

    ``image``: 8-bit RGB, as stored, ``scale`` times smaller than the file says, rounded up.
    ``size``: of the upright picture in full. ``orientation``: EXIF, still to be applied.
    """

    image: Image.Image
    size: Size
    scale: int
    orientation: int
    icc_profile: bytes | None

    def resized(self, part: Box, size: Size, resample: Resample) -> Image.Image:
        """A part of the picture (upright px of its full size) resized to ``size``, upright."""
        turned = self.orientation >= 5
        stored = Size(size.height, size.width) if turned else size
        made = resize(self.image, stored, self._stored_box(part), resample, vertical_first=turned)
        turn = _TURNS.get(self.orientation)
        return made if turn is None else made.transpose(turn)

    def _stored_box(self, part: Box) -> Box:
        """Upright px of the full size in px of ``image``."""
        x0, y0, x1, y1 = part.as_tuple()
        if self.orientation in (2, 3, 6, 7):
            x0, x1 = self.size.width - x1, self.size.width - x0
        if self.orientation in (3, 4, 7, 8):
            y0, y1 = self.size.height - y1, self.size.height - y0
        if self.orientation >= 5:
            x0, y0, x1, y1 = y0, x0, y1, x1
        return Box(x0 / self.scale, y0 / self.scale, x1 / self.scale, y1 / self.scale)


def load_raster(data: bytes, facts: ImageFacts, *, max_pixels: int, reduction: float = 1) -> Raster:
    """Decode a file for being made ``reduction`` times smaller, all of it.

    Args:
        data: the file.
        facts: what its header says.
        max_pixels: refused above this, from the header.
        reduction: original px per px of the result, on the side that keeps more.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding says.
    """
    image = open_image(data, max_pixels)
    icc_profile = colour_profile(image)
    if facts.format != "jpeg":  # whole and upright: Pillow turns a TIFF as it loads it
        return Raster(load_rgb(image), facts.size, 1, 1, icc_profile)
    scale = _decode_at(
        image, 4 if reduction >= QUARTER_FROM else 2 if reduction >= HALF_FROM else 1
    )
    pixels = load_rgb(image, turn=False)
    return Raster(pixels, facts.size, scale, facts.orientation, icc_profile)


def _decode_at(image: Image.Image, wanted: int) -> int:
    """Have an opened JPEG decoded at this part of its size; the part that it will be."""
    width, height = image.size
    drafted = image.draft(None, (max(1, width // wanted), max(1, height // wanted)))
    return 1 if drafted is None else round(width / drafted[1][2])


def as_raster(picture: Picture) -> Raster:
    """What is decoded in full and upright already."""
    return Raster(picture.pixels, picture.size, 1, 1, picture.icc_profile)
