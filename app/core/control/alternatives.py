"""The control table: what else could be had, for the same image, by changing one thing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.core.control.resizing import DecidedMode, least_change
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan
from app.core.plan.tiling import candidate_grids, required_scales, select_tiling
from app.core.plan.tokens import TokenCounts, count_tokens


@dataclass(frozen=True, slots=True)
class Candidate:
    """A grid the tiling weighed, and the float32 scale it needs (inf and negative included)."""

    grid: Grid
    required_scale: float
    selected: bool


@dataclass(frozen=True, slots=True)
class MaxCropsRow:
    """What the same image would get under another ``max_crops``."""

    max_crops: int
    grid: Grid
    tokens: TokenCounts


@dataclass(frozen=True, slots=True)
class SizeRow:
    """A size that gets ``crops``, and the least invasive way to it."""

    crops: int
    grid: Grid
    size: Size
    reached_by: DecidedMode


def candidates(plan: CropPlan) -> tuple[Candidate, ...]:
    """Every candidate grid by (area, rows), with its required scale."""
    scales = required_scales(plan.image, plan.config)
    grids = candidate_grids(plan.config.max_crops)
    return tuple(
        Candidate(grid, scale, grid == plan.grid) for grid, scale in zip(grids, scales, strict=True)
    )


def max_crops_table(plan: CropPlan) -> tuple[MaxCropsRow, ...]:
    """The tiling and tokens under every ``max_crops`` up to the one in force."""
    rows = []
    for max_crops in range(1, plan.config.max_crops + 1):
        config = replace(plan.config, max_crops=max_crops)
        grid = select_tiling(plan.image, config)
        rows.append(MaxCropsRow(max_crops, grid, count_tokens(grid, config)))
    return tuple(rows)


def size_table(plan: CropPlan) -> tuple[SizeRow, ...]:
    """For every count of crops the size that gets it, as resizing in ``auto`` decides."""
    counts = range(1, plan.config.max_crops + 1)
    decided = ((crops, least_change(plan.image, crops, plan.config)) for crops in counts)
    return tuple(SizeRow(crops, best.grid, best.size, best.mode) for crops, best in decided if best)
