"""Measure the headroom of a plan to the next cliff: one px can add a row or a column of crops.

Between two breakpoints nothing changes, so the search looks at each stretch once.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from app.core.plan.config import CropConfig
from app.core.plan.geometry import MAX_SIDE_PX, Size
from app.core.plan.plan import CropPlan
from app.core.plan.tiling import grids_by_aspect, select_tiling


@dataclass(frozen=True, slots=True)
class Headroom:
    """Hold the px by which one side can shrink or grow before the tiling changes; None: no end."""

    down: int | None
    up: int | None


def width_headroom(plan: CropPlan) -> Headroom:
    """Find the headroom of the width, the height fixed."""
    return _headroom(plan, of_width=True)


def height_headroom(plan: CropPlan) -> Headroom:
    """Find the headroom of the height, the width fixed."""
    return _headroom(plan, of_width=False)


def _headroom(plan: CropPlan, *, of_width: bool) -> Headroom:
    width, height = plan.image.width, plan.image.height
    side, fixed = (width, height) if of_width else (height, width)
    places = _breakpoints(side, fixed, fixed_is_height=of_width, config=plan.config)
    behind = bisect_right(places, side)

    def first_change(sides: Iterable[int]) -> int | None:
        for px in sides:
            if not 1 <= px <= MAX_SIDE_PX:
                return None
            size = Size(px, fixed) if of_width else Size(fixed, px)
            if select_tiling(size, plan.config) != plan.grid:
                return abs(px - side) - 1
        return None

    return Headroom(
        down=first_change(px - 1 for px in reversed(places[:behind])),
        up=first_change(places[behind:]),
    )


def _breakpoints(
    side_px: int, fixed_px: int, *, fixed_is_height: bool, config: CropConfig
) -> list[int]:
    """List the px of one side from which on the tiling may be another, while the other is fixed.

    The list rises. It has the nearest places of a change below and above ``side_px``, and perhaps
    others. It is empty if the fixed side is below the margin.
    """
    margin, window = config.margin_px, config.window_px
    inner = fixed_px - margin
    if inner < 0:
        return []
    # While a candidate spans the image, every window of the free side makes another grid.
    spanned = config.max_crops // (-(-inner // window) or 1) * window
    places = [margin, *range(margin + 1, margin + spanned + 2, window)]
    # Beyond, every aspect in the table makes another grid.
    reached = max(side_px - margin, spanned, 1)
    aspect = (reached / inner if inner else inf) if fixed_is_height else inner / reached
    for cols, rows in grids_by_aspect(config.max_crops).between(aspect, aspect):
        crossing = inner * cols // rows if fixed_is_height else inner * rows // cols
        if crossing > spanned:
            # At a whole number of px both scales are equal, and one px beyond they are not.
            places += margin + crossing, margin + crossing + 1
    return sorted(places)
