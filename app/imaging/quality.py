"""Measure how much of a picture a resize retains: SSIM and PSNR of its luma.

See docs/method/quality.md.
"""

from collections.abc import Sequence
from math import ceil, floor, log10, sqrt
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.core.control.retained import ImageQuality
from app.core.plan.geometry import Box, Size
from app.imaging.write.resample import Resample

Luma = NDArray[np.uint8]
"""An array holds the luma of a rectangle, shape (height, width), 0 to 255."""

COMPARED_PX = 500_000
"""A comparison takes at most this many pixels (docs/method/quality.md)."""

TILE_PX = 64
"""Tiles have this side. Smaller tiles lie closer together and miss less, but have more edge: at
32 px less than half of a tile is left for the middles of windows of 11 px."""

_WINDOW_RADIUS_PX = 5
_WINDOW_PX = 2 * _WINDOW_RADIUS_PX + 1
_WANG_2004: dict[str, Any] = {
    "gaussian_weights": True,
    "sigma": 1.5,  # the cut at 3.5 sigma gives the paper's window of 11 px
    "use_sample_covariance": False,
    "data_range": 255,
}
"""With these arguments scikit-image computes the SSIM of Wang et al. (2004)."""

_BACK = Image.Resampling.LANCZOS
_FILTER_SUPPORT_PX = 3
"""Lanczos, the widest filter, reaches so far; the other filters ignore a px more."""


class QualityMeter:
    """Measure how much of one picture a resize retains.

    The meter holds the luma of the original, one byte a pixel, and all its results. A picture of
    more than ``most_px`` is compared at tiles spread over it, at its own scale. One thread may use
    a meter at a time, and a meter starts no threads.

    Args:
        pixels: the picture, upright.
        resample: the filter of the resize. Lanczos brings the result back.
        most_px: the most pixels in a comparison.
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
        self._whole = Box.of(self.size)
        self._most_px = most_px
        self._known: dict[tuple[Size, Box], ImageQuality] = {}

    @property
    def compared_px(self) -> int:
        """Count the pixels of the original in a comparison without a cut."""
        return sum(int(tile.area) for tile in self._tiles(self._whole))

    def at(self, size: Size, source: Box | None = None) -> ImageQuality:
        """Measure the quality of ``source`` resized to ``size`` px, without padding.

        The result is resized back to its place in the original, and compared there. The pixels that
        are not in ``source`` in full count as lost, or black.

        Args:
            size: the size of the result.
            source: a part in px of the original, fractions allowed; by default all of it.

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
        """Average over what is retained and what is lost, each by its share of the picture.

        A tile at a time takes half the time of all at once, as a tile stays in the CPU's cache.
        """
        retained = Box(ceil(source.x0), ceil(source.y0), floor(source.x1), floor(source.y1))
        ssim = squared_error = 0.0
        for part in _parts(self._whole, retained):
            share = part.area / self._whole.area
            tiles = self._tiles(part)
            before = [np.asarray(self._luma.crop(tile)) for tile in tiles]
            if part == retained:
                after = self._brought_back(tiles, size, source)
            else:
                after = [np.zeros_like(tile) for tile in before]
            ssim += share * fmean(map(_ssim, before, after))
            squared_error += share * fmean(map(_mean_squared_error, before, after))
        return ImageQuality(ssim, 10 * log10(255**2 / squared_error) if squared_error else None)

    def _tiles(self, part: Box) -> tuple[Box, ...]:
        """Spread tiles over a part of the picture, with its share of the pixels to compare.

        A part narrower than a window costs as much as a window, so its share is smaller.
        """
        narrowest = min(part.width, part.height)
        share = part.area / self._whole.area * min(1.0, narrowest / _WINDOW_PX)
        return spread_tiles(part, round(share * self._most_px))

    def _brought_back(self, tiles: Sequence[Box], size: Size, source: Box) -> list[Luma]:
        """Return the luma of ``tiles`` after a resize of ``source`` to ``size`` and back.

        Only the needed parts of the resized picture are computed, or all of it at once if the parts
        add up to more.
        """
        needed = [_needed(tile, size, source) for tile in tiles]
        whole: Image.Image | None = None
        if sum(around.area for _, around in needed) >= size.pixels:
            whole = self._resized(Box.of(size), size, source)
        after = []
        for tile, (place, around) in zip(tiles, needed, strict=True):
            if whole is not None:
                resized = whole.crop(around)
            else:
                resized = self._resized(around, size, source)
            box = (
                place.x0 - around.x0,
                place.y0 - around.y0,
                min(place.x1 - around.x0, resized.width),
                min(place.y1 - around.y0, resized.height),
            )
            side = (int(tile.width), int(tile.height))
            after.append(np.asarray(resized.resize(side, _BACK, box=box)))
        return after

    def _resized(self, part: Box, size: Size, source: Box) -> Image.Image:
        """Return a part, in whole px of the result, of ``source`` resized to ``size``.

        Pillow filters across the edges of a box, so the part has the same pixels as in the whole.
        """
        px_wide, px_high = source.width / size.width, source.height / size.height
        box = (
            source.x0 + part.x0 * px_wide,
            source.y0 + part.y0 * px_high,
            min(source.x0 + part.x1 * px_wide, self.size.width),
            min(source.y0 + part.y1 * px_high, self.size.height),
        )
        side = (int(part.width), int(part.height))
        return self._luma.resize(side, self._filter, box=box)


def _needed(tile: Box, size: Size, source: Box) -> tuple[Box, Box]:
    """Return a tile in px of the resized picture, and the whole px that a filter reads for it."""
    x0, x1, left, right = _resized_span(tile.x0, tile.x1, source.x0, source.x1, size.width)
    y0, y1, top, bottom = _resized_span(tile.y0, tile.y1, source.y0, source.y1, size.height)
    return Box(x0, y0, x1, y1), Box(left, top, right, bottom)


def _resized_span(
    start: float, end: float, source_start: float, source_end: float, side: int
) -> tuple[float, float, int, int]:
    """Return the same along one axis: start, end, first px and last px."""
    scale = side / (source_end - source_start)
    start, end = (start - source_start) * scale, (end - source_start) * scale
    reach = _FILTER_SUPPORT_PX * max(1.0, scale) + 1
    return start, end, max(0, floor(start - reach)), min(side, ceil(end + reach))


def _parts(whole: Box, inner: Box) -> tuple[Box, ...]:
    """Divide a box into ``inner`` and the rectangles above, below, left and right of it."""
    if inner.x0 >= inner.x1 or inner.y0 >= inner.y1:
        return (whole,)
    return (inner, *whole.around(inner))


def _ssim(before: Luma, after: Luma) -> float:
    """Return the mean SSIM over the windows inside of a tile.

    A tile smaller than a window is mirrored at its edges, as scikit-image does in its filters.
    """
    from skimage.metrics import structural_similarity  # 0.2 s to import

    if min(before.shape) < _WINDOW_PX:
        before, after = (np.pad(luma, _WINDOW_RADIUS_PX, "symmetric") for luma in (before, after))
    # scikit-image says that it is typed, but this function is not
    mean = structural_similarity(before, after, **_WANG_2004)  # type: ignore[no-untyped-call]
    return float(mean)


def _mean_squared_error(before: Luma, after: Luma) -> float:
    from skimage.metrics import mean_squared_error

    return float(mean_squared_error(before, after))


def spread_tiles(region: Box, most_px: int) -> tuple[Box, ...]:
    """Spread equal tiles evenly over a region, in rows and columns, ``most_px`` pixels in all.

    A region of at most ``most_px`` is one tile. There is at least one tile, even if it has more
    pixels. A tile spans a side that is shorter than a tile. All coordinates are whole, and the
    tiles lie within the region and do not overlap.
    """
    width, height = int(region.width), int(region.height)
    if width * height <= most_px:
        return (region,)
    tile_width, tile_height = min(TILE_PX, width), min(TILE_PX, height)
    in_all = most_px // (tile_width * tile_height)
    share_of_side = sqrt(most_px / (width * height))
    if width <= height:
        cols = max(1, int(width * share_of_side) // tile_width)
        rows = max(1, min(in_all // cols, height // tile_height))
    else:
        rows = max(1, int(height * share_of_side) // tile_height)
        cols = max(1, min(in_all // rows, width // tile_width))
    return tuple(
        Box(left, top, left + tile_width, top + tile_height)
        for top in _starts(int(region.y0), height, tile_height, rows)
        for left in _starts(int(region.x0), width, tile_width, cols)
    )


def _starts(first: int, side: int, tile: int, count: int) -> list[int]:
    """Return the starts of tiles, each in the middle of its equal part of the side."""
    return [first + (side * (2 * number + 1) // count - tile) // 2 for number in range(count)]
