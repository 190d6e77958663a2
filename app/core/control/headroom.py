"""How far a plan is from the next cliff: one px can be the difference between 1 and 4 crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.core.control.breakpoints import around, ratio_crossings, side_crossings, slack
from app.core.plan.geometry import MAX_SIDE_PX, Size
from app.core.plan.plan import CropPlan
from app.core.plan.tiling import select_tiling


@dataclass(frozen=True, slots=True)
class Headroom:
    """Px that one side alone can shrink or grow before the tiling changes; None: it never does."""

    down: int | None
    up: int | None


def width_headroom(plan: CropPlan, within_px: int = MAX_SIDE_PX) -> Headroom:
    """Headroom of the width, the height fixed; None also where it is ``within_px`` or more."""
    width, height = plan.image.width, plan.image.height
    return _headroom(plan, width, True, lambda px: Size(px, height), within_px)


def height_headroom(plan: CropPlan, within_px: int = MAX_SIDE_PX) -> Headroom:
    """Headroom of the height, the width fixed; None also where it is ``within_px`` or more."""
    width, height = plan.image.width, plan.image.height
    return _headroom(plan, height, False, lambda px: Size(width, px), within_px)


def _headroom(
    plan: CropPlan,
    side: int,
    fixed_is_height: bool,
    size: Callable[[int], Size],
    within_px: int,
) -> Headroom:
    config = plan.config
    fixed = plan.image.height if fixed_is_height else plan.image.width
    crossings = [
        *side_crossings(config),
        *ratio_crossings(fixed, fixed_is_height=fixed_is_height, config=config),
    ]
    least, most = max(1, side - within_px), min(MAX_SIDE_PX, side + within_px)
    reach = slack(max(side, fixed, *crossings), config)
    near = (px for px in crossings if least - reach <= px <= most + reach)
    places = around(near, reach, least, most)

    def first_change(candidates: list[int]) -> int | None:
        for px in candidates:
            if select_tiling(size(px), config) != plan.grid:
                return abs(px - side) - 1
        return None

    return Headroom(
        down=first_change([px for px in reversed(places) if px < side]),
        up=first_change([px for px in places if px > side]),
    )
