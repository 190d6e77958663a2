"""The headroom of a plan to the next cliff: one px can turn 1 crop into 4."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from app.core.control.breakpoints import side_breakpoints
from app.core.plan.geometry import MAX_SIDE_PX, Size
from app.core.plan.plan import CropPlan
from app.core.plan.tiling import select_tiling


@dataclass(frozen=True, slots=True)
class Headroom:
    """Px that one side alone can shrink or grow before the tiling changes; None: it never does."""

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
    places = side_breakpoints(fixed, fixed_is_height=of_width, config=plan.config)
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
