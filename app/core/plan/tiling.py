"""Which grid of crops Molmo chooses for a size.

Source: ``select_tiling`` in allenai/molmo ``olmo/data/model_preprocessor.py``, shared by Molmo 2.
"""

from __future__ import annotations

from functools import cache
from math import inf

from app.core.plan.config import CropConfig
from app.core.plan.float32 import round_all_to_float32, round_to_float32
from app.core.plan.geometry import Grid, Size


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
    """The grid with the smallest scale that is at least 1, else the one with the largest scale.

    The first of equals by (area, rows). The reference tries every candidate; what it finds is known
    beforehand. With n·W / inner for the scale of n windows along a side:

    - Below the margin scales are negative and fall with n, so one crop is the largest.
    - Else a scale is at least 1 where n windows span the side. (Where they do not, it is below 1 by
      1 / MAX_SIDE_PX or more, which float32 does not round away.) The fewest rows and columns that
      span it give the smallest such scale, and no grid that enlarges has less of either.
    - Where those are too many, no grid enlarges.
    """
    width, height = size.width - config.margin_px, size.height - config.margin_px
    if width < 0 or height < 0:
        return Grid(1, 1)
    rows, cols = -(-height // config.window_px) or 1, -(-width // config.window_px) or 1
    if rows * cols <= config.max_crops:
        return Grid(rows, cols)
    if not height:
        return Grid(1, config.max_crops)
    if not width:
        return Grid(config.max_crops, 1)
    return _largest_scale(width, height, config)


def _largest_scale(width: int, height: int, config: CropConfig) -> Grid:
    """The grid with the largest scale where none enlarges; sides are less the margin, above 0.

    Of the grids that share that scale, the one with the fewest of both has the smallest area.
    """
    window = config.window_px
    # rows·W / height and cols·W / width, both times width · height / W to stay with integers. They
    # are exact in float64 and so is the quotient's rounding, as if one side had been divided.
    reached = max([min(r * width, c * height) for r, c in _full_grids(config.max_crops)])
    scale = round_to_float32(reached * window / (width * height))
    return Grid(_fewest(scale, height, window), _fewest(scale, width, window))


@cache
def _full_grids(max_crops: int) -> tuple[tuple[int, int], ...]:
    """The (rows, cols) that can have neither a row nor a column more."""
    return tuple(
        (rows, max_crops // rows)
        for rows in range(1, max_crops + 1)
        if max_crops // (max_crops // rows) == rows
    )


def _fewest(scale: float, inner_px: int, window_px: int) -> int:
    """The fewest windows whose float32 scale is at least ``scale``, which at least one has.

    Scales of two counts differ by far more than float32 rounds away, so the count is the nearest to
    the quotient or the next.
    """
    count = round(scale * inner_px / window_px) or 1
    return count if round_to_float32(count * window_px / inner_px) >= scale else count + 1
