"""The control table: what else could be had, for the same image, by changing one thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.core.canvas import canvas_size
from app.core.fitting import fitting_sizes
from app.core.geometry import Grid, Size
from app.core.plan import CropPlan
from app.core.sizing import DecidedMode, nearest_grid
from app.core.tiling import candidate_grids, required_scales, select_tiling
from app.core.tokens import TokenCounts, count_tokens


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
    """For every count of crops the size that gets it: by keeping the aspect, else by padding."""
    fits = fitting_sizes(plan.image, plan.config)
    rows = (_size_row(crops, plan, fits) for crops in range(1, plan.config.max_crops + 1))
    return tuple(row for row in rows if row is not None)


def best_fit(crops: int, image: Size, fits: Mapping[Grid, Size]) -> tuple[Grid, Size] | None:
    """Of the sizes that get ``crops``, the largest not above the image, else the smallest."""
    meeting = [(grid, size) for grid, size in fits.items() if grid.crops == crops]
    smaller = [item for item in meeting if item[1].pixels <= image.pixels]
    if smaller:
        return max(smaller, key=lambda item: item[1].pixels)
    return min(meeting, key=lambda item: item[1].pixels, default=None)


def _size_row(crops: int, plan: CropPlan, fits: Mapping[Grid, Size]) -> SizeRow | None:
    if crops == plan.grid.crops:
        return SizeRow(crops, plan.grid, plan.image, "unchanged")
    fit = best_fit(crops, plan.image, fits)
    if fit is not None:
        return SizeRow(crops, *fit, "fit")
    grid = nearest_grid(crops, plan.image, plan.config)
    return SizeRow(crops, grid, canvas_size(grid, plan.config), "pad") if grid else None
