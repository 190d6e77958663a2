"""Vision tokens: how many, in which order, and from which patches each is pooled.

Both families lay tokens out as rows × columns, so one axis at a time is enough: along an axis a
token is a *window* of ``pooling`` patches, and a patch is (crop along the axis, patch in it).
Sources: ``image_to_patches_and_tokens`` and ``build_image_input_idx`` in allenai/molmo;
``arange_for_pooling`` and ``replace_image_token`` in transformers' molmo2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid

AxisPatch = tuple[int, int] | None
"""(crop along the axis, patch in that crop); None where an odd side was padded."""
AxisWindow = tuple[AxisPatch, ...]

DROPPED = -100
"""Position of a pooled token that the prompt does not hold."""


class TokenKind(IntEnum):
    PATCH = 1
    START = 2
    END = 3
    COLUMN = 4


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Prompt tokens of one image by kind; ``computed``: pooled tokens before any is dropped."""

    patch: int
    column: int
    start: int
    end: int
    computed: int

    @property
    def prompt(self) -> int:
        return self.patch + self.column + self.start + self.end


def _chunks(patches: list[tuple[int, int]], pooling: int) -> tuple[AxisWindow, ...]:
    """Windows of ``pooling`` patches; the padding of an odd count is split, the rest last."""
    missing = -len(patches) % pooling
    padded: list[AxisPatch] = [None] * (missing // 2) + patches + [None] * (missing - missing // 2)
    return tuple(tuple(padded[i : i + pooling]) for i in range(0, len(padded), pooling))


def axis_windows(count: int, config: CropConfig) -> tuple[AxisWindow, ...]:
    """The tokens along one axis of a grid of ``count`` crops, in order, as windows of patches."""
    left, right = config.overlap_margins
    side, pooling = config.crop_patches, config.pooling
    if config.family.connector.pooling_domain == "canvas":
        stitched = [
            (crop, patch)
            for crop in range(count)
            for patch in range(left if crop else 0, side if crop == count - 1 else side - right)
        ]
        return _chunks(stitched, pooling)
    # Pooled crop by crop, padded at the end; then the pooled margins between neighbours go.
    windows: list[AxisWindow] = []
    for crop in range(count):
        pooled = [
            tuple(
                (crop, patch) if patch < side else None
                for patch in range(token * pooling, (token + 1) * pooling)
            )
            for token in range(config.crop_tokens)
        ]
        first = left // pooling if crop else 0
        last = len(pooled) if crop == count - 1 else len(pooled) - right // pooling
        windows += pooled[first:last]
    return tuple(windows)


def axis_tokens(count: int, config: CropConfig) -> int:
    """How many tokens lie along one axis: ``len(axis_windows(count, config))`` in closed form."""
    if config.family.connector.pooling_domain == "canvas":
        patches = count * config.window_patches + config.margin_patches
        return -(-patches // config.pooling)
    return count * config.crop_tokens - (count - 1) * (config.margin_patches // config.pooling)


@lru_cache(maxsize=1024)
def count_tokens(grid: Grid, config: CropConfig) -> TokenCounts:
    """Prompt tokens of a plan: ``[start] global [end] [start] grid [end]``."""
    rows, cols = axis_tokens(grid.rows, config), axis_tokens(grid.cols, config)
    side = axis_tokens(1, config)
    patch = side * side + rows * cols
    pools_crops = config.family.connector.pooling_domain == "crop"
    return TokenCounts(
        patch=patch,
        column=rows + (side if config.family.global_column_tokens else 0),
        start=2,
        end=2,
        computed=config.crop_tokens**2 * grid.total_crops if pools_crops else patch,
    )


def token_sequence(grid: Grid, config: CropConfig) -> list[TokenKind]:
    """The prompt tokens of one image in order, by kind."""
    side = axis_tokens(1, config)
    rows, cols = axis_tokens(grid.rows, config), axis_tokens(grid.cols, config)
    columns = [TokenKind.COLUMN] if config.family.global_column_tokens else []
    low = ([TokenKind.PATCH] * side + columns) * side
    high = ([TokenKind.PATCH] * cols + [TokenKind.COLUMN]) * rows
    return [TokenKind.START, *low, TokenKind.END, TokenKind.START, *high, TokenKind.END]


def pooling_windows(grid: Grid, config: CropConfig) -> list[tuple[int, ...]]:
    """For each patch token in prompt order, the flat patches it is pooled from.

    A flat patch index is ``crop · crop_patches² + row · crop_patches + column`` with the global
    crop as crop 0; -1 stands where an odd side was padded. Length ``count_tokens(...).patch``, each
    of ``pooling``² entries: Molmo 2's ``image_token_pooling``, and the same for Molmo 1.
    """
    low = axis_windows(1, config)  # the global crop is a grid of one
    windows = _product(low, low, 1, 0, config)
    rows, cols = axis_windows(grid.rows, config), axis_windows(grid.cols, config)
    return windows + _product(rows, cols, grid.cols, 1, config)


def _product(
    rows: tuple[AxisWindow, ...],
    cols: tuple[AxisWindow, ...],
    grid_cols: int,
    first_crop: int,
    config: CropConfig,
) -> list[tuple[int, ...]]:
    side = config.crop_patches

    def flat(row: AxisPatch, col: AxisPatch) -> int:
        if row is None or col is None:
            return -1
        crop = first_crop + row[0] * grid_cols + col[0]
        return (crop * side + row[1]) * side + col[1]

    return [
        tuple(flat(row, col) for row in row_window for col in col_window)
        for row_window in rows
        for col_window in cols
    ]


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
