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
def axis_coverage(count: int, config: CropConfig) -> tuple[int, ...]:
    """For each patch along one axis of the canvas, how many of ``count`` crops hold it.

    Kept are so few as the longest takes 150 KB: 64 crops of 292 patches.
    """
    coverage = [0] * (count * config.window_patches + config.margin_patches)
    for crop in range(count):
        first = crop * config.window_patches
        for patch in range(first, first + config.crop_patches):
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


@lru_cache(maxsize=512)
def grid_overlap(grid: Grid, config: CropConfig) -> Overlap:
    """Overlap over the whole canvas, padding included: it depends on the grid alone."""
    return _from_axes(axis_coverage(grid.rows, config), axis_coverage(grid.cols, config))


def content_overlap(grid: Grid, canvas: Canvas, config: CropConfig) -> Overlap:
    """The same over the patches that are not all padding."""
    patch = config.patch_size_px
    return _from_axes(
        axis_coverage(grid.rows, config)[
            canvas.pad_top // patch : -(-(canvas.pad_top + canvas.scaled_height) // patch)
        ],
        axis_coverage(grid.cols, config)[
            canvas.pad_left // patch : -(-(canvas.pad_left + canvas.scaled_width) // patch)
        ],
    )


def encoder_redundancy(grid: Grid, content: Overlap, config: CropConfig) -> float:
    """Patches the encoder runs, global crop included, per distinct patch of content."""
    return grid.total_crops * config.crop_patches**2 / content.distinct_patches
