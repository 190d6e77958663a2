"""The parts of a canvas that a drawing marks: by coverage, padding, and what of a crop is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from app.core.plan.canvas import Canvas
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box
from app.core.plan.overlap import axis_coverage
from app.core.plan.plan import CropPlan
from app.core.plan.tokens import axis_windows

_NOTHING = 1e-6
"""Px that rounding may leave between edges that are the same."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A rectangle of the canvas, in px, whose every patch is in ``count`` grid crops."""

    box: Box
    count: int


def coverage_zones(plan: CropPlan) -> tuple[Zone, ...]:
    """The canvas in as few rectangles of equal coverage as rows and columns of them allow."""
    patch = plan.config.patch_size_px
    rows = _runs(axis_coverage(plan.grid.rows, plan.config))
    cols = _runs(axis_coverage(plan.grid.cols, plan.config))
    return tuple(
        Zone(Box(x0 * patch, y0 * patch, x1 * patch, y1 * patch), down * across)
        for y0, y1, down in rows
        for x0, x1, across in cols
    )


def _runs(counts: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Start, end and value of each run of equal values."""
    runs, start = [], 0
    for count, equal in groupby(counts):
        end = start + sum(1 for _ in equal)
        runs.append((start, end, count))
        start = end
    return runs


def padding_of(canvas: Canvas) -> list[Box]:
    """The canvas without the image, as boxes that do not overlap; none where it fills it."""
    return around(canvas.content, canvas.box)


def around(inner: Box, outer: Box) -> list[Box]:
    """What of a box lies around another within it, as boxes that do not overlap."""
    boxes = (
        Box(outer.x0, outer.y0, outer.x1, inner.y0),
        Box(outer.x0, inner.y1, outer.x1, outer.y1),
        Box(outer.x0, inner.y0, inner.x0, inner.y1),
        Box(inner.x1, inner.y0, outer.x1, inner.y1),
    )
    return [box for box in boxes if box.x1 - box.x0 > _NOTHING and box.y1 - box.y0 > _NOTHING]


@dataclass(frozen=True, slots=True)
class KeptPatches:
    """Along one axis of a crop: the patches ``first`` to before ``last`` reach the prompt.

    ``cuts``: those of them that begin a token, the first left out.
    """

    first: int
    last: int
    cuts: tuple[int, ...]


@lru_cache(maxsize=16)
def kept_patches(count: int, config: CropConfig) -> tuple[KeptPatches, ...]:
    """For each of ``count`` crops along an axis, what of it is kept and how tokens divide that."""
    tokens: list[dict[int, int]] = [{} for _ in range(count)]
    for token, window in enumerate(axis_windows(count, config)):
        for patch in window:
            if patch is not None:
                tokens[patch[0]][patch[1]] = token
    kept = []
    for of in tokens:
        first, last = min(of), max(of) + 1
        cuts = tuple(at for at in range(first + 1, last) if of[at] != of[at - 1])
        kept.append(KeptPatches(first, last, cuts))
    return tuple(kept)
