"""The sizes at which the tiling changes, along a side of an image and along an aspect.

Between two breakpoints nothing changes, so a search looks at each stretch once. The arithmetic is
derived in docs/decisions/quick-plans.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.tiling import grids_by_aspect, spanning_grid


def side_breakpoints(fixed_px: int, *, fixed_is_height: bool, config: CropConfig) -> list[int]:
    """List the px of one side from which on the tiling may be another, while the other is fixed.

    The list rises. It is empty if the fixed side is below the margin.
    """
    margin, window = config.margin_px, config.window_px
    inner = fixed_px - margin
    if inner < 0:
        return []
    # Up to as many windows as fit beside those of the fixed side, each window makes another grid.
    spanned = config.max_crops // (-(-inner // window) or 1) * window
    places = [margin, *range(margin + 1, margin + spanned + 2, window)]
    for ratio in grids_by_aspect(config.max_crops).ratios:
        crossing = int(inner * ratio if fixed_is_height else inner / ratio)
        if crossing >= spanned:
            # Both roundings, in float32 and here, move the crossing by less than 1 px each.
            places += range(margin + crossing - 1, margin + crossing + 3)
    return sorted(places)


@dataclass(frozen=True, slots=True)
class Run:
    """Sizes of an aspect that get one grid: longer sides from ``first`` to ``last`` px."""

    grid: Grid
    first: int
    last: int


class AspectRow:
    """All sizes of one aspect: for each longer side, the shorter side rounded to nearest.

    The longer side is the finer ruler; steps along the shorter side would miss sizes (a 21:9 image
    gives 4 crops at 785x336 only).
    """

    def __init__(self, image: Size) -> None:
        self.image = image
        self.landscape = image.width >= image.height
        self.long_px = max(image.width, image.height)
        self.short_px = min(image.width, image.height)

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

    def runs(self, longest_px: int, config: CropConfig) -> Iterator[Run]:
        """Divide the sizes up to ``longest_px`` into runs of one grid, rising.

        The runs begin where the shorter side is 1 px. Two neighbours may have the same grid.
        """
        starts = self._spanning_starts(longest_px, config)
        for first, next_first in pairwise([*starts, longest_px + 1]):
            grid = spanning_grid(self.size(first), config)
            if grid.crops > config.max_crops:
                yield from self._shrinking_runs(first, longest_px, config)
                return
            yield Run(grid, first, next_first - 1)

    def _spanning_starts(self, longest_px: int, config: CropConfig) -> list[int]:
        """List the longer sides at which one of both sides needs another window."""
        margin = config.margin_px
        starts = {self.first_long(1), self.first_long(max(margin, 1))}
        for windows in range(1, config.max_crops + 1):
            side = margin + windows * config.window_px + 1
            starts.add(side)
            starts.add(self.first_long(side))
        return sorted(start for start in starts if self.first_long(1) <= start <= longest_px)

    def _shrinking_runs(self, first_px: int, longest_px: int, config: CropConfig) -> Iterator[Run]:
        """Divide the sizes from ``first_px`` on, that no candidate spans: their aspect decides."""
        margin, by_aspect = config.margin_px, grids_by_aspect(config.max_crops)
        starts = {first_px}
        for aspect in by_aspect.aspects:
            undecided = self._undecided(aspect, margin)
            starts.update(
                range(max(undecided.start, first_px + 1), min(undecided.stop, longest_px) + 1)
            )

        def grid(long_px: int) -> Grid:
            long, short = long_px - margin, self.short(long_px) - margin
            return by_aspect.grid(long, short) if self.landscape else by_aspect.grid(short, long)

        changes = [(grid, next(places)) for grid, places in groupby(sorted(starts), key=grid)]
        ends = [first - 1 for _, first in changes[1:]]
        for (grid_, first), last in zip(changes, [*ends, longest_px], strict=True):
            yield Run(grid_, first, last)

    def _undecided(self, aspect: Fraction, margin: int) -> range:
        """Return the longer sides at which rounding the shorter side decides about an aspect.

        Compared are ``a·(short - margin)`` and ``b·(long - margin)`` with ``short = q·long ± ½``:
        undecided while ``|(a·q - b)·long - margin·(a - b)| ≤ a/2``.
        """
        if self.long_px == self.short_px:
            return range(0)  # nothing is rounded
        cols, rows = aspect.numerator, aspect.denominator
        a, b = (cols, rows) if self.landscape else (rows, cols)
        slope = 2 * (a * self.short_px - b * self.long_px)
        centre, spread = 2 * margin * self.long_px * (a - b), a * self.long_px
        if slope < 0:
            slope, centre = -slope, -centre
        if slope == 0:
            return range(1, sys.maxsize) if abs(centre) <= spread else range(0)
        return range(-((spread - centre) // slope), (centre + spread) // slope + 1)
