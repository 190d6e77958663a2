"""Sizes of the image's own aspect, and the tiling each of them gets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from app.core.control.breakpoints import AspectRow
from app.core.errors import CollapsedImage
from app.core.plan.canvas import canvas_size, place_on_canvases
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.tiling import candidate_grids, select_tiling

LONGEST_SEARCHED_PX = 16_384
"""Longer sides that are searched. Beyond, sizes differ by less than any canvas can show, and a
request for a million px would cost seconds."""


@lru_cache(maxsize=1024)
def fitting_sizes(image: Size, config: CropConfig) -> Mapping[Grid, Size]:
    """For every grid that keeping the aspect can reach, the best size that reaches it.

    Best is the largest size not above the original, else the smallest upscale. Every size is
    confirmed by the tiling and can be planned. Upscales are looked for up to the longest canvas:
    from there on no candidate enlarges, and only the drift of the rounded aspect is left. Nothing
    is looked for above ``LONGEST_SEARCHED_PX``; the image itself is one of its sizes in any case.
    """
    row = AspectRow(image)
    down, up = _runs(row, _longest_searched(row, config), config)
    return MappingProxyType({**up, **down})


def sizes_within_canvas(aspect: Size, config: CropConfig) -> dict[Grid, Size]:
    """The same where only an aspect is asked: the largest size that loses no pixel to the canvas.

    That is the largest size inside the grid's canvas, else the smallest that gets the grid.
    """
    row = AspectRow(aspect)
    longest = _longest_canvas(config)
    best: dict[Grid, Size] = {}
    for long_px in row.places(longest, config):
        if not row.has(long_px):
            continue
        size = row.size(long_px)
        grid = select_tiling(size, config)
        canvas = canvas_size(grid, config)
        inside = size.width <= canvas.width and size.height <= canvas.height
        if (grid not in best or inside) and _can_be_planned(size, grid, config):
            best[grid] = size
    return best


def most_sizes_tried(image: Size, config: CropConfig) -> int:
    """No fewer than either search above looks at, and found without looking at any."""
    row = AspectRow(image)
    own_and_next = 2
    return row.most_places(_longest_searched(row, config), config) + own_and_next


@lru_cache(maxsize=128)
def canvas_grids(config: CropConfig) -> Mapping[int, tuple[Grid, ...]]:
    """By count of crops, the candidate grids whose canvas is itself an image that can be planned.

    All of them, but where the crop side is so small that a strip collapses in the global crop.
    """
    by_crops: dict[int, tuple[Grid, ...]] = {}
    for grid in candidate_grids(config.max_crops):
        if _can_be_planned(canvas_size(grid, config), grid, config):
            by_crops[grid.crops] = (*by_crops.get(grid.crops, ()), grid)
    return MappingProxyType(by_crops)


def _runs(
    row: AspectRow, longest_px: int, config: CropConfig
) -> tuple[dict[Grid, Size], dict[Grid, Size]]:
    """The largest size not above the original, and the smallest above it, of each grid."""
    down: dict[Grid, Size] = {}
    up: dict[Grid, Size] = {}
    # The original ends the last run below it and starts the first above.
    places = {*row.places(longest_px, config), row.long_px}
    if row.long_px < longest_px:
        places.add(row.long_px + 1)
    may_collapse = row.may_collapse(config)
    for long_px in sorted(places):
        if not row.has(long_px):
            continue
        size = row.image if long_px == row.long_px else row.size(long_px)
        grid = select_tiling(size, config)
        if long_px > row.long_px and (grid in down or grid in up):
            continue
        if not may_collapse or _can_be_planned(size, grid, config):
            (down if long_px <= row.long_px else up)[grid] = size
    return down, up


def _longest_searched(row: AspectRow, config: CropConfig) -> int:
    return min(max(row.long_px, _longest_canvas(config)), LONGEST_SEARCHED_PX)


def _longest_canvas(config: CropConfig) -> int:
    return min(LONGEST_SEARCHED_PX, config.max_crops * config.window_px + config.margin_px)


def _can_be_planned(size: Size, grid: Grid, config: CropConfig) -> bool:
    try:
        place_on_canvases(size, grid, config)
    except CollapsedImage:
        return False
    return True
