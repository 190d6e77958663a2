"""Count and order the vision tokens, and find the patches that each token is pooled from.

Both families lay tokens out as rows × columns, so one axis at a time is enough. Along an axis a
token is a *window* of ``pooling`` patches, and a patch is (crop along the axis, patch in it).
Sources: ``image_to_patches_and_tokens`` and ``build_image_input_idx`` in allenai/molmo;
``arange_for_pooling`` and ``replace_image_token`` in transformers' molmo2.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid

AxisPatch = tuple[int, int] | None
"""(crop along the axis, patch in that crop); None for the padding of an odd side."""
AxisWindow = tuple[AxisPatch, ...]


class TokenKind(IntEnum):
    PATCH = 1
    START = 2
    END = 3
    COLUMN = 4


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Count the prompt tokens of one image by kind.

    ``computed`` counts the pooled tokens before the tokens of margins are dropped.
    """

    patch: int
    column: int
    start: int
    end: int
    computed: int

    @property
    def prompt(self) -> int:
        return self.patch + self.column + self.start + self.end


def _chunks(patches: list[tuple[int, int]], pooling: int) -> tuple[AxisWindow, ...]:
    """Divide patches into windows.

    Half of the padding comes before the patches and half after; an odd one comes after.
    """
    missing = -len(patches) % pooling
    padded: list[AxisPatch] = [None] * (missing // 2) + patches + [None] * (missing - missing // 2)
    return tuple(tuple(padded[i : i + pooling]) for i in range(0, len(padded), pooling))


def axis_windows(count: int, config: CropConfig) -> tuple[AxisWindow, ...]:
    """List the tokens along one axis of a grid of ``count`` crops, in order, as windows."""
    left, right = config.overlap_margins
    side, pooling = config.crop_patches, config.pooling
    if not config.pools_crops:
        stitched = [
            (crop, patch)
            for crop in range(count)
            for patch in range(left if crop else 0, side if crop == count - 1 else side - right)
        ]
        return _chunks(stitched, pooling)
    # Each crop is pooled alone, padded at its end; then the margins between neighbours are dropped.
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
    """Count the tokens along one axis: ``len(axis_windows(count, config))`` in closed form."""
    if config.pools_crops:
        return count * config.crop_tokens - (count - 1) * (config.margin_patches // config.pooling)
    patches = count * config.window_patches + config.margin_patches
    return -(-patches // config.pooling)


@lru_cache(maxsize=4096)
def count_tokens(grid: Grid, config: CropConfig) -> TokenCounts:
    """Count the prompt tokens of a grid: ``[start] global [end] [start] grid [end]``."""
    rows, cols = axis_tokens(grid.rows, config), axis_tokens(grid.cols, config)
    side = axis_tokens(1, config)
    patch = side * side + rows * cols
    return TokenCounts(
        patch=patch,
        column=rows + (side if config.family.global_column_tokens else 0),
        start=2,
        end=2,
        computed=config.crop_tokens**2 * grid.total_crops if config.pools_crops else patch,
    )


def token_sequence(grid: Grid, config: CropConfig) -> list[TokenKind]:
    """List the kinds of one image's prompt tokens, in order."""
    side = axis_tokens(1, config)
    rows, cols = axis_tokens(grid.rows, config), axis_tokens(grid.cols, config)
    columns = [TokenKind.COLUMN] if config.family.global_column_tokens else []
    low = ([TokenKind.PATCH] * side + columns) * side
    high = ([TokenKind.PATCH] * cols + [TokenKind.COLUMN]) * rows
    return [TokenKind.START, *low, TokenKind.END, TokenKind.START, *high, TokenKind.END]


def pooling_windows(grid: Grid, config: CropConfig) -> list[tuple[int, ...]]:
    """List, for each patch token in prompt order, the flat patches that are pooled into it.

    A flat patch index is ``crop · crop_patches² + row · crop_patches + column`` with the global
    crop as crop 0, or -1 for the padding of an odd side. The list has ``count_tokens(...).patch``
    entries of ``pooling``² each. It is Molmo 2's ``image_token_pooling``, and the equivalent for
    Molmo 1.
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
