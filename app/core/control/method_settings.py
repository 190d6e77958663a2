"""The settings of each way to change an image's cost, and the plans they give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from app.core.control.fitting import fitting_sizes
from app.core.errors import CollapsedImage
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan, plan_with_grid

Method = Literal["max_crops", "resize", "overlap_margins", "crop_size_px"]

_MOST_MARGINS = 14
"""Every sum that pooling allows at the families' own sides; only larger crops take wider steps."""
_SIDE_STEP_PATCHES = 4
"""Twice the pooling, so that crops keep whole tokens: 56 px."""


def method_plans(method: Method, current: CropPlan) -> Iterable[CropPlan]:
    """The plans of a method's settings, rising, all else as in ``current``, which is one of them.

    A setting under which the image collapses has none.
    """
    image, config = current.image, current.config
    match method:
        case "max_crops":
            return _max_crops_plans(current)
        case "resize":
            return _resized_plans(current)
        case "overlap_margins":
            return _planned(
                image,
                (replace(config, overlap_margins=both) for both in margin_settings(config)),
            )
        case "crop_size_px":
            return _planned(
                image, (replace(config, crop_size_px=side) for side in side_settings(config))
            )


def _max_crops_plans(current: CropPlan) -> Iterable[CropPlan]:
    """One plan a tiling: of the values that give it the one in force, else the smallest."""
    config = current.config
    most = max(config.max_crops, config.family.default_max_crops)
    configs = (replace(config, max_crops=count) for count in range(1, most + 1))
    by_grid: dict[Grid, CropPlan] = {}
    for plan in _planned(current.image, configs):
        if plan == current or plan.grid not in by_grid:
            by_grid[plan.grid] = plan
    return by_grid.values()


def _resized_plans(current: CropPlan) -> Iterator[CropPlan]:
    """One plan for each tiling that keeping the aspect reaches; its own size is the image's."""
    sizes = fitting_sizes(current.image, current.config)
    for grid in sorted(sizes, key=lambda grid: (grid.crops, grid.rows)):
        yield plan_with_grid(sizes[grid], grid, current.config)


def margin_settings(config: CropConfig) -> list[tuple[int, int]]:
    """Margins from none up to what leaves a window, those in force among them.

    Cost depends on their sum alone, so each sum comes once, split as evenly as pooling lets. Steps
    are of the pooling, or wider where a large crop would make too many.
    """
    # Where the stitched grid is pooled, margins need not be multiples of the pooling.
    unit = config.pooling if config.family.connector.pooling_domain == "crop" else 1
    step = config.pooling * -(-config.crop_patches // (config.pooling * _MOST_MARGINS))
    by_sum: dict[int, tuple[int, int]] = {}
    for total in range(0, config.crop_patches, step):
        left = total // 2 // unit * unit
        by_sum[total] = (left, total - left)
    by_sum[config.margin_patches] = config.overlap_margins
    return [by_sum[total] for total in sorted(by_sum)]


def side_settings(config: CropConfig) -> list[int]:
    """Crop sides in px around the family's own, from half to one and a half, with that in force.

    A few patches apart; only those that the margins leave a window.
    """
    patch = config.patch_size_px
    native = config.family.crop_size_px // patch
    reach = native // 2 // _SIDE_STEP_PATCHES * _SIDE_STEP_PATCHES
    sides = {config.crop_patches, *range(native - reach, native + reach + 1, _SIDE_STEP_PATCHES)}
    return [side * patch for side in sorted(sides) if side > config.margin_patches]


def _planned(image: Size, configs: Iterable[CropConfig]) -> Iterator[CropPlan]:
    for config in configs:
        try:
            yield make_plan(image, config)
        except CollapsedImage:
            continue
