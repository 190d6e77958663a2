"""Decode pixels as a file stores them, no larger than needed, and turn them last.

A JPEG decoder gives a half or a quarter of the size for less time, and a small image is turned in
less time than a large one.
"""

from dataclasses import dataclass

from PIL import Image

from app.core.image import ImageFacts
from app.core.plan.geometry import Box, Size
from app.imaging.read.decode import Picture, load_rgb
from app.imaging.read.opening import colour_profile, open_image
from app.imaging.write.resample import Resample, resize

HALF_FROM, QUARTER_FROM = 5.0, 20.0
"""From these reductions on, a JPEG is decoded at a half and at a quarter of its size.

At least 2.5 and 5 times the needed px remain, and the median photo is 54 and 56 dB from full
decoding (docs/method/pixels.md). A half saves a third of the time, and a quarter little more. An
eighth would save next to nothing: by then the entropy coding takes most of the time.
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
"""Turns that bring pixels upright, by their EXIF orientation."""


@dataclass(frozen=True, slots=True)
class Raster:
    """Hold decoded pixels, with their scale and orientation in the picture.

    Attributes:
        image: 8-bit RGB, as stored, ``scale`` times smaller than in the file, rounded up.
        size: the full size of the upright picture.
        scale: 1, 2 or 4.
        orientation: EXIF's, not yet applied.
        icc_profile: the colour profile of the pixels.
    """

    image: Image.Image
    size: Size
    scale: int
    orientation: int
    icc_profile: bytes | None

    def resized(self, part: Box, size: Size, resample: Resample) -> Image.Image:
        """Resize a part of the picture, in px of its full size, to ``size``. All are upright."""
        turned = self.orientation >= 5
        stored = Size(size.height, size.width) if turned else size
        made = resize(self.image, stored, self._stored_box(part), resample, vertical_first=turned)
        turn = _TURNS.get(self.orientation)
        return made if turn is None else made.transpose(turn)

    def _stored_box(self, part: Box) -> Box:
        """Map upright px of the full size to px of ``image``."""
        x0, y0, x1, y1 = part
        if self.orientation in (2, 3, 6, 7):
            x0, x1 = self.size.width - x1, self.size.width - x0
        if self.orientation in (3, 4, 7, 8):
            y0, y1 = self.size.height - y1, self.size.height - y0
        if self.orientation >= 5:
            x0, y0, x1, y1 = y0, x0, y1, x1
        return Box(x0 / self.scale, y0 / self.scale, x1 / self.scale, y1 / self.scale)


def load_raster(data: bytes, facts: ImageFacts, *, max_pixels: int, reduction: float = 1) -> Raster:
    """Decode all of a file, for a result ``reduction`` times smaller.

    Args:
        data: the file.
        facts: the facts in its header.
        max_pixels: the most pixels, checked in the header.
        reduction: original px for each px of the result, on the side that retains more.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding does.
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
    """Tell an opened JPEG to decode at a fraction of its size, and return the divisor it takes."""
    width, height = image.size
    drafted = image.draft(None, (max(1, width // wanted), max(1, height // wanted)))
    return 1 if drafted is None else round(width / drafted[1][2])


def as_raster(picture: Picture) -> Raster:
    """Return a raster of a picture that is decoded in full and upright."""
    return Raster(picture.pixels, picture.size, 1, 1, picture.icc_profile)
