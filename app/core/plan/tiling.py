"""Choose the grid of crops for an image size, as Molmo does.

Source: ``select_tiling`` in allenai/molmo ``olmo/data/model_preprocessor.py``, shared by Molmo 2.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import inf, nextafter

from app.core.plan.config import CropConfig
from app.core.plan.float32 import round_all_to_float32, round_to_float32
from app.core.plan.geometry import Grid, Size


@cache
def candidate_grids(max_crops: int) -> tuple[Grid, ...]:
    """List all grids of at most ``max_crops`` crops by (area, rows)."""
    grids = [
        Grid(rows, cols)
        for rows in range(1, max_crops + 1)
        for cols in range(1, max_crops // rows + 1)
    ]
    return tuple(sorted(grids, key=lambda grid: (grid.crops, grid.rows)))


def required_scales(size: Size, config: CropConfig) -> tuple[float, ...]:
    """Compute the float32 scale at which the image fills each of ``candidate_grids``.

    The scale is the smaller of the two axes' scales. Rounding each of them first gives the same
    result.
    """
    by_rows = _axis_scales(size.height, config)
    by_cols = _axis_scales(size.width, config)
    return tuple(
        [min(by_rows[rows], by_cols[cols]) for rows, cols in candidate_grids(config.max_crops)]
    )


def select_by_rule(size: Size, config: CropConfig) -> Grid:
    """Choose the grid by the reference's rule, over all candidates.

    Take the smallest scale of at least 1. If every scale is below 1, take the largest. Of equal
    scales take the first by (area, rows).
    """
    scales = required_scales(size, config)
    enlarging = [scale for scale in scales if scale >= 1]
    chosen = min(enlarging) if enlarging else max(scales)
    return candidate_grids(config.max_crops)[scales.index(chosen)]


def select_by_limit(scales: Sequence[float], max_crops: int) -> dict[int, Grid]:
    """Return the grid that the rule chooses under each limit up to ``max_crops``.

    ``scales`` are the :func:`required_scales` of all candidates. Candidates rise by area, so the
    first of them are the candidates of a lower limit.
    """
    by_limit: dict[int, Grid] = {}
    best_scale = -inf
    for grid, scale in zip(candidate_grids(max_crops), scales, strict=True):
        is_better = (1 <= scale < best_scale) if best_scale >= 1 else (scale > best_scale)
        if is_better:
            best, best_scale = grid, scale
        by_limit[grid.crops] = best
    return by_limit


def select_tiling(size: Size, config: CropConfig) -> Grid:
    """Choose the grid quickly: equal to :func:`select_by_rule`, by test.

    The smallest grid that spans the image has the smallest scale of at least 1. Every grid shrinks
    an image that no candidate spans; then the aspect decides (docs/decisions/quick-plans.md).
    """
    spanning = spanning_grid(size, config)
    if spanning.crops <= config.max_crops:
        return spanning
    width, height = size.width - config.margin_px, size.height - config.margin_px
    return grids_by_aspect(config.max_crops).grid(width, height)


def spanning_grid(size: Size, config: CropConfig) -> Grid:
    """Return the fewest rows and columns whose canvas spans the image.

    An image with a side below the margin gets one crop, because all of its scales are negative.
    """
    width, height = size.width - config.margin_px, size.height - config.margin_px
    if width < 0 or height < 0:
        return Grid(1, 1)
    window = config.window_px
    return Grid(-(-height // window) or 1, -(-width // window) or 1)


@dataclass(frozen=True, slots=True)
class GridsByAspect:
    """Hold the grids of images that no candidate spans, by the aspect of their sides less margins.

    The choice changes at each of ``aspects``: (width, height), rising. ``grids`` holds the grid
    below the first aspect, at the first aspect, between the first and the second, and so on.
    ``edges`` has two floats for each aspect: the aspect, and the next float above it. A bisection
    of ``edges`` then finds the place below, at or above an aspect.
    """

    aspects: tuple[tuple[int, int], ...]
    edges: tuple[float, ...]
    grids: tuple[Grid, ...]

    def __post_init__(self) -> None:
        if not len(self.grids) == len(self.edges) + 1 == 2 * len(self.aspects) + 1:
            raise ValueError("there must be a grid below, at and above every aspect")

    def grid(self, width: int, height: int) -> Grid:
        """Return the grid of an image of these sides, less the margins, in px."""
        return self.grids[bisect_right(self.edges, width / height if height else inf)]

    def between(self, low: float, high: float) -> tuple[tuple[int, int], ...]:
        """Return the aspects from ``low`` to ``high``, and one more at either end."""
        first = bisect_left(self.edges, low) // 2
        last = (bisect_right(self.edges, high) + 1) // 2
        return self.aspects[max(first - 1, 0) : last + 1]


@cache
def grids_by_aspect(max_crops: int) -> GridsByAspect:
    """Find the grid of every aspect by the rule: the largest scale, the first of equals.

    The order of two scales changes only at the aspect of a candidate, so one aspect between two
    neighbours is enough.
    """
    grids = candidate_grids(max_crops)
    candidates = sorted({Fraction(grid.cols, grid.rows) for grid in grids})
    between = [(low + high) / 2 for low, high in pairwise(candidates)]
    beyond = [*between, 2 * candidates[-1]]

    def largest(aspect: Fraction) -> Grid:
        width, height = aspect.numerator, aspect.denominator
        scales = [min(rows * width, cols * height) for rows, cols in grids]
        return grids[scales.index(max(scales))]

    changes, chosen = [], [largest(candidates[0] / 2)]
    for aspect, next_aspect in zip(candidates, beyond, strict=True):
        at, above = largest(aspect), largest(next_aspect)
        if at != chosen[-1] or above != at:
            changes.append(aspect)
            chosen += at, above
    return GridsByAspect(
        aspects=tuple((aspect.numerator, aspect.denominator) for aspect in changes),
        edges=tuple(edge for aspect in changes for edge in (float(aspect), _next_float(aspect))),
        grids=tuple(chosen),
    )


def _next_float(aspect: Fraction) -> float:
    return nextafter(float(aspect), inf)


def _axis_scales(side_px: int, config: CropConfig) -> tuple[float, ...]:
    """Compute the float32 scales at which a side, less the margins, spans 0, 1, 2, … windows.

    A side below the margin has negative scales, a side equal to it infinite ones: the reference
    does not clamp.
    """
    inner = round_to_float32(side_px - config.margin_px)
    counts = range(config.max_crops + 1)
    if inner == 0:
        return tuple(inf for _ in counts)
    window = config.window_px
    return round_all_to_float32([count * window / inner for count in counts])
