"""How much the crops of a plan repeat one another, on the patch grid of the canvas.

A crop covers an interval of patches along each axis, so the coverage of a patch is the product of
two axis coverages and every sum below is a product of two sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from app.core.plan.canvas import Canvas
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid


@dataclass(frozen=True, slots=True)
class Overlap:
    """Coverage statistics over a set of patches; ``total_patches`` counts a patch once a crop.

    ``overlap_ratio``: share of distinct patches in more than one crop. ``redundancy_ratio``: mean
    coverage, which is also ``average_overlap_count``; ``average_overlapped_count`` is the mean over
    overlapped patches only (0 where there are none).
    """

    total_patches: int
    distinct_patches: int
    overlapped_patches: int
    overlap_ratio: float
    redundancy_ratio: float
    average_overlap_count: float
    average_overlapped_count: float
    max_overlap_count: int


@lru_cache(maxsize=128)
def axis_coverage(count: int, crop_patches: int, window_patches: int) -> tuple[int, ...]:
    """Count, for each patch along one axis of the canvas, which of ``count`` crops hold it.

    The longest takes 150 KB: 64 crops of 292 patches. That bounds the cache.
    """
    coverage = [0] * (count * window_patches + crop_patches - window_patches)
    for crop in range(count):
        first = crop * window_patches
        for patch in range(first, first + crop_patches):
            coverage[patch] += 1
    return tuple(coverage)


def _from_axes(rows: tuple[int, ...], cols: tuple[int, ...]) -> Overlap:
    total = sum(rows) * sum(cols)
    distinct = len(rows) * len(cols)
    single = rows.count(1) * cols.count(1)
    overlapped = distinct - single
    redundancy = total / distinct
    return Overlap(
        total_patches=total,
        distinct_patches=distinct,
        overlapped_patches=overlapped,
        overlap_ratio=overlapped / distinct,
        redundancy_ratio=redundancy,
        average_overlap_count=redundancy,
        average_overlapped_count=(total - single) / overlapped if overlapped else 0.0,
        max_overlap_count=max(rows) * max(cols),
    )


def _axes(grid: Grid, config: CropConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the coverage along the rows and along the columns."""
    side, window = config.crop_patches, config.window_patches
    return axis_coverage(grid.rows, side, window), axis_coverage(grid.cols, side, window)


def grid_overlap(grid: Grid, config: CropConfig) -> Overlap:
    """Compute the overlap over the whole canvas, padding included: it depends on the grid alone."""
    return _from_axes(*_axes(grid, config))


def content_overlap(grid: Grid, canvas: Canvas, config: CropConfig) -> Overlap:
    """Compute the overlap over the patches that show some of the image."""
    patch = config.patch_size_px
    rows, cols = _axes(grid, config)
    bottom, right = canvas.pad_top + canvas.scaled_height, canvas.pad_left + canvas.scaled_width
    return _from_axes(
        rows[canvas.pad_top // patch : -(-bottom // patch)],
        cols[canvas.pad_left // patch : -(-right // patch)],
    )


def encoder_redundancy(grid: Grid, content: Overlap, config: CropConfig) -> float:
    """Patches the encoder runs, global crop included, per distinct patch of content."""
    return grid.total_crops * config.crop_patches**2 / content.distinct_patches
