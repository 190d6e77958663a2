"""Divide the sizes of one aspect into runs that get one grid.

Between two breakpoints nothing changes, so a search looks at each stretch once. The arithmetic is
derived in docs/decisions/quick-plans.md.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import inf
from typing import NamedTuple

from app.core.errors import CollapsedImage
from app.core.plan.canvas import place_on_canvases
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.tiling import GridsByAspect, grids_by_aspect

LONGEST_SEARCHED_PX = 16_384
"""The longest side that is searched. Larger sizes differ by less than any canvas can show."""


class Run(NamedTuple):
    """Hold the sizes of an aspect that get one grid: longer sides from ``first`` to ``last`` px."""

    grid: Grid
    first: int
    last: int


class AspectRow:
    """Compute the sizes of one aspect: for each longer side, the shorter side rounded to nearest.

    The longer side is the finer ruler; steps along the shorter side would miss sizes (a 21:9 image
    gives 4 crops at 785x336 only).
    """

    def __init__(self, image: Size, config: CropConfig) -> None:
        self.image, self.config = image, config
        self.landscape = image.width >= image.height
        self.long_px = max(image.width, image.height)
        self.short_px = min(image.width, image.height)
        # Rounding the shorter side can lengthen the aspect by at most half.
        self._may_collapse = self.long_px * 2 > self.short_px * config.crop_size_px

    def short(self, long_px: int) -> int:
        """Return the shorter side of the size whose longer side is ``long_px``, halves up."""
        return (2 * long_px * self.short_px + self.long_px) // (2 * self.long_px)

    def size(self, long_px: int) -> Size:
        """Return the size whose longer side is ``long_px``."""
        short_px = self.short(long_px)
        return Size(long_px, short_px) if self.landscape else Size(short_px, long_px)

    def first_long(self, short_px: int) -> int:
        """Return the least longer side whose shorter side is at least ``short_px``."""
        return -(-(2 * short_px - 1) * self.long_px // (2 * self.short_px))

    def longest_inside(self, canvas: Size) -> int:
        """Return the longer side of the largest size inside a canvas."""
        long_px, short_px = canvas.width, canvas.height
        if not self.landscape:
            long_px, short_px = short_px, long_px
        return min(long_px, self.first_long(short_px + 1) - 1)

    def runs(self, longest_px: int) -> Iterator[Run]:
        """Divide the sizes up to ``longest_px`` into runs of one grid, rising.

        The runs begin where the shorter side is 1 px. Two neighbours may have the same grid.
        """
        margin, window = self.config.margin_px, self.config.window_px
        first = self.first_long(1)
        last = min(self.first_long(margin) - 1, longest_px)
        if first <= last:
            yield Run(Grid(1, 1), first, last)  # the shorter side is below the margin
            first = last + 1
        while first <= longest_px:
            long = -(-(first - margin) // window) or 1
            short = -(-(self.short(first) - margin) // window) or 1
            if long * short > self.config.max_crops:
                yield from self._shrinking_runs(first, longest_px)
                return
            grid = Grid(short, long) if self.landscape else Grid(long, short)
            outgrown = self.first_long(margin + short * window + 1)
            last = min(margin + long * window, outgrown - 1, longest_px)
            yield Run(grid, first, last)
            first = last + 1

    def can_be_planned(self, long_px: int, grid: Grid) -> bool:
        return not self._may_collapse or can_be_planned(self.size(long_px), grid, self.config)

    def largest(self, run: Run, last: int) -> int | None:
        """Return the longest side in a run, up to ``last`` px, whose size can be planned."""
        long_px = last
        while long_px >= run.first:
            if self.can_be_planned(long_px, run.grid):
                return long_px
            # Beyond this side no size can be planned, with this shorter side or a smaller one.
            most = self.short(long_px) * self.config.crop_size_px
            long_px = min(long_px - 1, most)
        return None

    def smallest(self, run: Run, first: int) -> int | None:
        """Return the shortest longer side in a run, from ``first`` px on, that can be planned."""
        long_px = first
        while long_px <= run.last:
            if self.can_be_planned(long_px, run.grid):
                return long_px
            # With the same shorter side, nothing above can be planned either.
            long_px = self.first_long(self.short(long_px) + 1)
        return None

    def _shrinking_runs(self, first_px: int, longest_px: int) -> Iterator[Run]:
        """Divide the sizes from ``first_px`` on, that no candidate spans: their aspect decides."""
        margin, by_aspect = self.config.margin_px, grids_by_aspect(self.config.max_crops)
        starts = {first_px}
        for a, b in self._aspects_from(first_px, margin, by_aspect):
            places = self._crossing(a, b, margin)
            starts.update(range(max(places.start, first_px), min(places.stop, longest_px + 1)))
        for first, next_first in pairwise([*sorted(starts), longest_px + 1]):
            long, short = first - margin, self.short(first) - margin
            grid = by_aspect.grid(long, short) if self.landscape else by_aspect.grid(short, long)
            yield Run(grid, first, next_first - 1)

    def _aspects_from(
        self, first_px: int, margin: int, by_aspect: GridsByAspect
    ) -> Iterable[tuple[int, int]]:
        """List the aspects, longer side first, that sizes from ``first_px`` on may cross.

        The aspect of a size less its margins falls towards the image's own, but for the half px
        of rounding. So it stays between the aspects of the first size with half a px more or less.
        """
        long, short = first_px - margin, first_px * self.short_px / self.long_px - margin
        low = min(long / (short + 0.5), self.long_px / self.short_px) if short > -0.5 else 0.0
        high = long / (short - 0.5) if short > 0.5 else inf
        if self.landscape:
            return by_aspect.between(low, high)
        return [(rows, cols) for cols, rows in by_aspect.between(1 / high, 1 / low if low else inf)]

    def _crossing(self, a: int, b: int, margin: int) -> range:
        """Return the longer sides at which the sizes, less the margins, may cross the aspect a:b.

        Compared are ``a·(short - margin)`` and ``b·(long - margin)``. As ``short = q·long ± ½``,
        rounding decides while ``|(a·q - b)·long - margin·(a - b)| ≤ a/2``.
        """
        if a == b:
            return self._no_longer_square()
        slope = 2 * (a * self.short_px - b * self.long_px)
        centre, spread = 2 * margin * self.long_px * (a - b), a * self.long_px
        if slope < 0:
            slope, centre = -slope, -centre
        if slope == 0:
            # The row has the very aspect of the grid: it stays there, or a margin keeps it away.
            return range(1, LONGEST_SEARCHED_PX + 1) if margin == 0 else range(0)
        return range(-((spread - centre) // slope), (centre + spread) // slope + 2)

    def _no_longer_square(self) -> range:
        """Return the least longer side whose shorter side is not rounded to the same px, if any."""
        shorter_by = self.long_px - self.short_px
        if shorter_by == 0:
            return range(0)
        least = self.long_px // (2 * shorter_by) + 1
        return range(least, least + 1)


def can_be_planned(size: Size, grid: Grid, config: CropConfig) -> bool:
    try:
        place_on_canvases(size, grid, config)
    except CollapsedImage:
        return False
    return True
