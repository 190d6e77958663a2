"""Molmo 1's scatter order, which the released code builds and our pooling windows stand for."""

from __future__ import annotations

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid
from app.core.plan.tokens import AxisWindow, axis_windows

DROPPED = -100
"""Position of a pooled token that the prompt does not hold."""


def image_input_idx(grid: Grid, config: CropConfig) -> list[list[int]]:
    """Molmo 1's scatter order: for each crop's pooled tokens, their position in the prompt.

    Shape [total crops, tokens per crop]; ``DROPPED`` where a margin was dropped. Only for families
    that pool crop by crop; for the others a token belongs to no single crop.
    """
    if config.family.connector.pooling_domain != "crop":
        raise ValueError("image_input_idx is defined where each crop is pooled by itself")
    side = config.crop_tokens
    positions = [[DROPPED] * side**2 for _ in range(grid.total_crops)]
    column = 1 if config.family.global_column_tokens else 0
    for row in range(side):
        for col in range(side):
            positions[0][row * side + col] = 1 + row * (side + column) + col
    start = 1 + side * (side + column) + 2
    rows, cols = axis_windows(grid.rows, config), axis_windows(grid.cols, config)
    for out_row, row_window in enumerate(rows):
        for out_col, col_window in enumerate(cols):
            (crop_row, row), (crop_col, col) = _first(row_window), _first(col_window)
            crop = 1 + crop_row * grid.cols + crop_col
            token = row // config.pooling * side + col // config.pooling
            positions[crop][token] = start + out_row * (len(cols) + 1) + out_col
    return positions


def _first(window: AxisWindow) -> tuple[int, int]:
    return next(patch for patch in window if patch is not None)
