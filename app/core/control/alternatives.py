"""The alternatives to a plan: everything that one change makes of the same image."""

from __future__ import annotations

from typing import NamedTuple

from app.core.control.resizing import ResizeDecision, least_changes
from app.core.plan.geometry import Grid
from app.core.plan.plan import CropPlan
from app.core.plan.tiling import candidate_grids, required_scales, select_by_limit
from app.core.plan.tokens import TokenCounts, count_tokens


class Alternative(NamedTuple):
    """A grid of the tiling's choice, and the float32 scale it needs (inf and negative included)."""

    grid: Grid
    required_scale: float
    selected: bool


class MaxCropsRow(NamedTuple):
    """The tiling of the same image under another ``max_crops``."""

    max_crops: int
    grid: Grid
    tokens: TokenCounts


def alternatives(plan: CropPlan) -> tuple[Alternative, ...]:
    """List every candidate grid by (area, rows), with its required scale."""
    grids = candidate_grids(plan.config.max_crops)
    scales = required_scales(plan.image, plan.config)
    selected = grids.index(plan.grid)
    return tuple(
        [
            Alternative(grid, scale, index == selected)
            for index, (grid, scale) in enumerate(zip(grids, scales, strict=True))
        ]
    )


def max_crops_table(plan: CropPlan) -> tuple[MaxCropsRow, ...]:
    """List the tiling and tokens under every ``max_crops`` up to the one in force."""
    by_limit = select_by_limit(plan.image, plan.config)
    tokens = {grid: count_tokens(grid, plan.config) for grid in dict.fromkeys(by_limit.values())}
    return tuple([MaxCropsRow(limit, grid, tokens[grid]) for limit, grid in by_limit.items()])


def size_table(plan: CropPlan) -> tuple[ResizeDecision, ...]:
    """List the resizing that ``auto`` decides for every count of crops, rising."""
    return least_changes(plan.image, plan.config)
