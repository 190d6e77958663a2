"""SSIM and PSNR of the luma of a resized picture, defined in docs/method/quality.md."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.core.control.retained import ImageQuality
from app.core.plan.geometry import Box, Size
from app.imaging.sampling import spread_tiles
from app.imaging.write.resample import Resample

Luma = NDArray[np.uint8]
"""Luma of a rectangle, (height, width), 0 to 255."""

COMPARED_PX = 500_000
"""Most pixels that are compared. docs/method/quality.md has what fewer or more would do."""

_WINDOW_RADIUS_PX = 5
_WINDOW_PX = 2 * _WINDOW_RADIUS_PX + 1
_WANG_2004: dict[str, Any] = {
    "gaussian_weights": True,
    "sigma": 1.5,  # cut at 3.5 sigma, this is the paper's window of 11 px
    "use_sample_covariance": False,
    "data_range": 255,
}
"""SSIM as Wang et al. (2004) define it, in scikit-image's words."""

_BACK = Image.Resampling.LANCZOS
_FILTER_SUPPORT_PX = 3
"""Of the widest filter, Lanczos; to the others a px more makes no difference."""


class QualityMeter:
    """Measures how much of one picture survives being resized.

    Holds the luma of the original, one byte a pixel, and every answer it gave. A picture of more
    than ``most_px`` is compared at tiles spread over it, at its own scale: there the values are
    those of the whole picture, and ``compared_px`` says how many pixels they stand for. For one
    thread at a time; it starts none.

    Args:
        pixels: the picture, upright.
        resample: filter that it is resized with; it is brought back with Lanczos.
        most_px: most pixels that are compared.
    """

    def __init__(
        self,
        pixels: Image.Image,
        *,
        resample: Resample = "lanczos",
        most_px: int = COMPARED_PX,
    ) -> None:
        self._filter = Image.Resampling[resample.upper()]
        self.size = Size(pixels.width, pixels.height)
        self._luma = pixels.convert("L")
        self._whole = Box(0, 0, pixels.width, pixels.height)
        self._most_px = most_px
        self._known: dict[tuple[Size, Box], ImageQuality] = {}

    @property
    def compared_px(self) -> int:
        """How many pixels of the original are compared where none is cut away."""
        return sum(int(tile.area) for tile in self._tiles(self._whole))

    def at(self, size: Size, source: Box | None = None) -> ImageQuality:
        """The quality of ``source`` resized to ``size`` px, padding not counted.

        ``source`` (px of the original, fractions allowed) defaults to all of it. The result is
        brought back to where it came from at the original's scale, and compared there; the pixels
        that ``source`` does not hold in full are lost, which is black.

        Raises:
            ValueError: ``source`` is empty or reaches outside the picture.
        """
        source = source or self._whole
        if not source.area or source.intersect(self._whole) != source:
            raise ValueError(f"{source} is no part of a picture of {self.size} px")
        if (size, source) not in self._known:
            self._known[size, source] = self._measure(size, source)
        return self._known[size, source]

    def _measure(self, size: Size, source: Box) -> ImageQuality:
        """What is kept and what is lost, each for its share of the picture.

        Tile by tile, which also is twice as fast as all at once: a tile stays in the cache.
        """
        kept = Box(ceil(source.x0), ceil(source.y0), floor(source.x1), floor(source.y1))
        ssim = squared_error = 0.0
        for part in _parts(self._whole, kept):
            share = part.area / self._whole.area
            tiles = self._tiles(part)
            before = [np.asarray(self._luma.crop(_whole_px(tile))) for tile in tiles]
            if part == kept:
                after = self._brought_back(tiles, size, source)
            else:
                after = [np.zeros_like(tile) for tile in before]
            ssim += share * fmean(map(_ssim, before, after))
            squared_error += share * fmean(map(_mean_squared_error, before, after))
        return ImageQuality(ssim, 10 * log10(255**2 / squared_error) if squared_error else None)

    def _tiles(self, part: Box) -> tuple[Box, ...]:
        """Where to compare in a part of the picture, by its share of what may be compared.

        What is narrower than a window is mirrored to be as wide, which costs as much as being so.
        """
        narrowest = min(part.x1 - part.x0, part.y1 - part.y0)
        share = part.area / self._whole.area * min(1.0, narrowest / _WINDOW_PX)
        return spread_tiles(part, round(share * self._most_px))

    def _brought_back(self, tiles: Sequence[Box], size: Size, source: Box) -> list[Luma]:
        """What ``tiles`` look like once ``source`` was resized to ``size`` and back.

        Only the pixels of the resized picture that they are made from are computed, and none of
        them more often than all of the picture would take.
        """
        needed = [_needed(tile, size, source) for tile in tiles]
        whole: Image.Image | None = None
        if sum(around.area for _, around in needed) >= size.pixels:
            whole = self._resized(Box(0, 0, size.width, size.height), size, source)
        after = []
        for tile, (place, around) in zip(tiles, needed, strict=True):
            if whole is not None:
                resized = whole.crop(_whole_px(around))
            else:
                resized = self._resized(around, size, source)
            box = (
                place.x0 - around.x0,
                place.y0 - around.y0,
                min(place.x1 - around.x0, resized.width),
                min(place.y1 - around.y0, resized.height),
            )
            side = (int(tile.x1 - tile.x0), int(tile.y1 - tile.y0))
            after.append(np.asarray(resized.resize(side, _BACK, box=box)))
        return after

    def _resized(self, part: Box, size: Size, source: Box) -> Image.Image:
        """A part, in whole px of the result, of ``source`` resized to ``size``.

        Pillow filters across the edges of a box that it is given, so they come out as they would in
        the whole.
        """
        px_wide = (source.x1 - source.x0) / size.width
        px_high = (source.y1 - source.y0) / size.height
        box = (
            source.x0 + part.x0 * px_wide,
            source.y0 + part.y0 * px_high,
            min(source.x0 + part.x1 * px_wide, self.size.width),
            min(source.y0 + part.y1 * px_high, self.size.height),
        )
        side = (int(part.x1 - part.x0), int(part.y1 - part.y0))
        return self._luma.resize(side, self._filter, box=box)


def _needed(tile: Box, size: Size, source: Box) -> tuple[Box, Box]:
    """A tile in px of the resized picture, and the whole px around that it is made from."""
    x0, x1, left, right = _resized_span(tile.x0, tile.x1, source.x0, source.x1, size.width)
    y0, y1, top, bottom = _resized_span(tile.y0, tile.y1, source.y0, source.y1, size.height)
    return Box(x0, y0, x1, y1), Box(left, top, right, bottom)


def _resized_span(
    start: float, end: float, source_start: float, source_end: float, side: int
) -> tuple[float, float, int, int]:
    """Along one axis, a tile in px of the resized picture, and the whole px it is made from."""
    scale = side / (source_end - source_start)
    start, end = (start - source_start) * scale, (end - source_start) * scale
    reach = _FILTER_SUPPORT_PX * max(1.0, scale) + 1
    return start, end, max(0, floor(start - reach)), min(side, ceil(end + reach))


def _parts(whole: Box, kept: Box) -> tuple[Box, ...]:
    """``whole`` as rectangles: ``kept``, and what lies above, below, left and right of it."""
    if kept.x0 >= kept.x1 or kept.y0 >= kept.y1:
        return (whole,)
    around = (
        Box(whole.x0, whole.y0, whole.x1, kept.y0),
        Box(whole.x0, kept.y1, whole.x1, whole.y1),
        Box(whole.x0, kept.y0, kept.x0, kept.y1),
        Box(kept.x1, kept.y0, whole.x1, kept.y1),
    )
    return (kept, *(part for part in around if part.area))


def _whole_px(box: Box) -> tuple[int, int, int, int]:
    return int(box.x0), int(box.y0), int(box.x1), int(box.y1)


def _ssim(before: Luma, after: Luma) -> float:
    """Mean SSIM over the windows inside the tile.

    A tile smaller than a window is mirrored at its edges, as scikit-image does with what it
    filters, and every pixel has its window.
    """
    from skimage.metrics import structural_similarity  # 0.2 s, and only for who asks for quality

    if min(before.shape) < _WINDOW_PX:
        before, after = (np.pad(luma, _WINDOW_RADIUS_PX, "symmetric") for luma in (before, after))
    # scikit-image says that it is typed, but this function is not
    mean = structural_similarity(before, after, **_WANG_2004)  # type: ignore[no-untyped-call]
    return float(mean)


def _mean_squared_error(before: Luma, after: Luma) -> float:
    from skimage.metrics import mean_squared_error

    return float(mean_squared_error(before, after))
