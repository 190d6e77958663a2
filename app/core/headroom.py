"""How far a plan is from the next cliff: one px can be the difference between 1 and 4 crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.core.breakpoints import around, ratio_crossings, side_crossings, slack
from app.core.geometry import MAX_SIDE_PX, Size
from app.core.plan import CropPlan
from app.core.tiling import select_tiling


@dataclass(frozen=True, slots=True)
class Headroom:
    """Px that one side alone can shrink or grow before the tiling changes; None: it never does."""

    down: int | None
    up: int | None


def width_headroom(plan: CropPlan) -> Headroom:
    """Headroom of the width, the height fixed."""
    return _headroom(plan, plan.image.width, True, lambda px: Size(px, plan.image.height))


def height_headroom(plan: CropPlan) -> Headroom:
    """Headroom of the height, the width fixed."""
    return _headroom(plan, plan.image.height, False, lambda px: Size(plan.image.width, px))


def _headroom(
    plan: CropPlan, side: int, fixed_is_height: bool, size: Callable[[int], Size]
) -> Headroom:
    config = plan.config
    fixed = plan.image.height if fixed_is_height else plan.image.width
    crossings = [
        *side_crossings(config),
        *ratio_crossings(fixed, fixed_is_height=fixed_is_height, config=config),
    ]
    places = around(crossings, slack(max(side, fixed, *crossings), config), 1, MAX_SIDE_PX)

    def first_change(candidates: list[int]) -> int | None:
        for px in candidates:
            if select_tiling(size(px), config) != plan.grid:
                return abs(px - side) - 1
        return None

    return Headroom(
        down=first_change([px for px in reversed(places) if px < side]),
        up=first_change([px for px in places if px > side]),
    )
