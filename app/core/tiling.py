"""Which grid of crops Molmo chooses for a size.

Source: ``select_tiling`` in allenai/molmo ``olmo/data/model_preprocessor.py``, shared by Molmo 2.
"""

from __future__ import annotations

from functools import cache
from math import inf

from app.core.config import CropConfig
from app.core.float32 import round_all_to_float32, round_to_float32
from app.core.geometry import Grid, Size


@cache
def candidate_grids(max_crops: int) -> tuple[Grid, ...]:
    """All grids of at most ``max_crops`` crops, by (area, rows): the first of equals wins."""
    grids = [
        Grid(rows, cols)
        for rows in range(1, max_crops + 1)
        for cols in range(1, max_crops // rows + 1)
    ]
    return tuple(sorted(grids, key=lambda grid: (grid.crops, grid.rows)))


@cache
def _candidate_indices(max_crops: int) -> tuple[tuple[int, int], ...]:
    return tuple((grid.rows, grid.cols) for grid in candidate_grids(max_crops))


def _axis_scales(side_px: int, config: CropConfig) -> tuple[float, ...]:
    """float32 scale that makes the side, less the margins, span 0, 1, 2, … windows.

    Sides below the margin give negative scales and a side equal to it gives infinity; the reference
    does not clamp, so neither do we.
    """
    window = config.window_px
    inner = round_to_float32(side_px - config.margin_px)
    counts = range(config.max_crops + 1)
    if inner == 0:
        return tuple(inf for _ in counts)
    return round_all_to_float32([count * window / inner for count in counts])


def required_scales(size: Size, config: CropConfig) -> tuple[float, ...]:
    """For each of ``candidate_grids``, the float32 scale the image would need to fill it.

    min() of two rounded quotients is the rounded min(), as rounding is monotonic.
    """
    by_rows = _axis_scales(size.height, config)
    by_cols = _axis_scales(size.width, config)
    return tuple(
        min(by_rows[rows], by_cols[cols]) for rows, cols in _candidate_indices(config.max_crops)
    )


def select_tiling(size: Size, config: CropConfig) -> Grid:
    """The grid with the smallest scale that is at least 1, else the one with the largest scale."""
    by_rows = _axis_scales(size.height, config)
    by_cols = _axis_scales(size.width, config)
    enlarging, shrinking = inf, -inf
    best_enlarging = best_shrinking = -1
    for index, (rows, cols) in enumerate(_candidate_indices(config.max_crops)):
        row_scale, col_scale = by_rows[rows], by_cols[cols]
        scale = row_scale if row_scale < col_scale else col_scale
        if scale >= 1:
            if scale < enlarging or best_enlarging < 0:
                enlarging, best_enlarging = scale, index
        elif scale > shrinking:
            shrinking, best_shrinking = scale, index
    chosen = best_enlarging if best_enlarging >= 0 else best_shrinking
    return candidate_grids(config.max_crops)[chosen]
