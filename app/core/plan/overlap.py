"""Compute the overlap of the crops of a plan, on the patch grid of the canvas.

A crop covers an interval of patches along each axis, so the coverage of a patch is the product of
two axis coverages and every sum below is a product of two sums.
"""

from dataclasses import dataclass
from functools import lru_cache

from app.core.plan.canvas import Canvas
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid


@dataclass(frozen=True, slots=True)
class Overlap:
    """Hold coverage statistics over a set of patches.

    ``total_patches`` counts a patch once for each crop holding it. ``overlap_ratio`` is the share
    of distinct patches in more than one crop. ``redundancy_ratio`` is the mean coverage, also
    called ``average_overlap_count``. ``average_overlapped_count`` is the mean over overlapped
    patches alone, and 0 if there are none.
    """

    total_patches: int
    distinct_patches: int
    overlapped_patches: int
    overlap_ratio: float
    redundancy_ratio: float
    average_overlap_count: float
    average_overlapped_count: float
    max_overlap_count: int


def axis_coverage(count: int, config: CropConfig) -> tuple[int, ...]:
    """Count, for each patch along one axis of the canvas, how many of ``count`` crops hold it."""
    return _axis_coverage(count, config.crop_patches, config.window_patches)


# The longest takes 150 KB, with 64 crops of 292 patches, so few are remembered.
@lru_cache(maxsize=128)
def _axis_coverage(count: int, crop_patches: int, window_patches: int) -> tuple[int, ...]:
    coverage = [0] * (count * window_patches + crop_patches - window_patches)
    for crop in range(count):
        first = crop * window_patches
        for patch in range(first, first + crop_patches):
            coverage[patch] += 1
    return tuple(coverage)


@lru_cache(maxsize=4096)
def grid_overlap(grid: Grid, config: CropConfig) -> Overlap:
    """Compute the overlap over the whole canvas, padding included."""
    return _from_axes(axis_coverage(grid.rows, config), axis_coverage(grid.cols, config))


def content_overlap(grid: Grid, canvas: Canvas, config: CropConfig) -> Overlap:
    """Compute the overlap over the patches that show some of the image."""
    patch = config.patch_size_px
    rows, cols = axis_coverage(grid.rows, config), axis_coverage(grid.cols, config)
    bottom, right = canvas.pad_top + canvas.scaled_height, canvas.pad_left + canvas.scaled_width
    return _from_axes(
        rows[canvas.pad_top // patch : -(-bottom // patch)],
        cols[canvas.pad_left // patch : -(-right // patch)],
    )


def encoder_redundancy(grid: Grid, content: Overlap, config: CropConfig) -> float:
    """Divide the patches that the encoder runs, global crop included, by those of content."""
    return grid.total_crops * config.crop_patches**2 / content.distinct_patches


def _from_axes(rows: tuple[int, ...], cols: tuple[int, ...]) -> Overlap:
    """Compute the statistics of the patches of some rows and columns."""
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
