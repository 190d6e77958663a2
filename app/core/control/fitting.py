"""Find sizes of the image's own aspect for each tiling."""

from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

from app.core.control.aspect_row import LONGEST_SEARCHED_PX, AspectRow, can_be_planned
from app.core.plan.canvas import canvas_size
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.tiling import candidate_grids, select_tiling


def fitting_sizes(image: Size, config: CropConfig) -> dict[Grid, Size]:
    """Find the best size of every grid reachable without a change of aspect.

    Best is the largest size not above the original, else the smallest upscale. All sizes can be
    planned. The search for upscales ends at the longest canvas: beyond it no candidate enlarges.
    It also ends at ``LONGEST_SEARCHED_PX``; a larger image itself is one of its sizes.
    """
    row = AspectRow(image, config)
    own = row.long_px
    longest = min(max(own, _longest_canvas(config)), LONGEST_SEARCHED_PX)
    down: dict[Grid, int] = {}
    up: dict[Grid, int] = {}
    for run in row.runs(longest):
        grid, first, last = run
        if first <= own and (px := row.largest(run, min(last, own))):
            down[grid] = px
        wanted = last > own and grid not in down and grid not in up
        if wanted and (px := row.smallest(run, max(first, own + 1))):
            up[grid] = px
    if own > longest and row.can_be_planned(own, grid := select_tiling(image, config)):
        down[grid] = own
    return {grid: row.size(px) for grid, px in {**up, **down}.items()}


def sizes_within_canvas(aspect: Size, config: CropConfig) -> dict[Grid, Size]:
    """Find the best size of every grid that an aspect reaches.

    Best is the largest size inside the grid's canvas, else the smallest that gets the grid.
    """
    row = AspectRow(aspect, config)
    best: dict[Grid, int] = {}
    for run in row.runs(_longest_canvas(config)):
        inside = row.longest_inside(canvas_size(run.grid, config))
        px = row.largest(run, min(run.last, inside))
        if px is None and run.grid not in best:
            px = row.smallest(run, run.first)
        if px is not None:
            best[run.grid] = px
    return {grid: row.size(px) for grid, px in best.items()}


@lru_cache(maxsize=128)
def canvas_grids(config: CropConfig) -> Mapping[int, Mapping[Grid, Size]]:
    """Group the candidate grids by crops, if an image of the canvas's size has a plan.

    Only with a very small crop side, a strip collapses in the global crop.
    """
    by_crops: dict[int, dict[Grid, Size]] = {}
    for grid in candidate_grids(config.max_crops):
        canvas = canvas_size(grid, config)
        if can_be_planned(canvas, grid, config):
            by_crops.setdefault(grid.crops, {})[grid] = canvas
    return MappingProxyType(by_crops)


def nearest_grid(crops: int, aspect: Size, config: CropConfig) -> Grid:
    """Return the grid of a count whose canvas is nearest to an aspect; of two, the wider.

    The distance of two aspects is their ratio. The count must be one of ``canvas_grids``.
    """
    borders, grids = _canvases_by_aspect(config)[crops]
    return grids[bisect_right(borders, aspect.width**2 / aspect.height**2)]


@lru_cache(maxsize=128)
def _canvases_by_aspect(config: CropConfig) -> dict[int, tuple[list[float], list[Grid]]]:
    """Order the grids of each count by the aspect of their canvases, rising.

    The borders lie between two neighbours: the product of their aspects, which is the square of the
    aspect that is equally near to both.
    """
    by_aspect = {}
    for crops, canvases in canvas_grids(config).items():
        rising = sorted(canvases, key=lambda grid: grid.rows, reverse=True)
        sizes = [canvases[grid] for grid in rising]
        borders = [
            low.width * high.width / (low.height * high.height) for low, high in pairwise(sizes)
        ]
        by_aspect[crops] = borders, rising
    return by_aspect


def _longest_canvas(config: CropConfig) -> int:
    return min(LONGEST_SEARCHED_PX, config.max_crops * config.window_px + config.margin_px)
