"""Overlap by the shape of the grid, which is how it was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid
from app.core.plan.overlap import Overlap, grid_overlap
from app.core.plan.tiling import candidate_grids
from app.report.figures.averages import Planned

Shape = Literal["one crop", "row", "square", "rectangle"]
"""Of a grid: 1x1; one row or one column; as many rows as columns; and the others."""

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """The tilings of one shape.

    The first two ranges are over every tiling that ``max_crops`` allows, on the whole canvas; the
    ``seen_…`` ones over the images that have such a tiling, on their own content. None where no
    tiling or no image is of the shape.
    """

    shape: Shape
    tilings: int
    images: int
    overlap_ratio: Range | None
    redundancy_ratio: Range | None
    seen_overlap_ratio: Range | None
    seen_redundancy_ratio: Range | None


def shape_of(grid: Grid) -> Shape:
    """The shape of a grid."""
    if grid.crops == 1:
        return "one crop"
    if grid.rows == grid.cols:
        return "square"
    return "row" if 1 in (grid.rows, grid.cols) else "rectangle"


def shape_rows(planned: Sequence[Planned], config: CropConfig) -> tuple[ShapeRow, ...]:
    """One row a shape."""
    return tuple(_row(shape, planned, config) for shape in get_args(Shape))


def _row(shape: Shape, planned: Sequence[Planned], config: CropConfig) -> ShapeRow:
    grids = [grid for grid in candidate_grids(config.max_crops) if shape_of(grid) == shape]
    allowed = [grid_overlap(grid, config) for grid in grids]
    here = [one for one in planned if shape_of(one.plan.grid) == shape]
    seen = [one.plan.content_overlap() for one in here]
    return ShapeRow(
        shape=shape,
        tilings=len(grids),
        images=sum(one.images for one in here),
        overlap_ratio=_overlap_range(allowed),
        redundancy_ratio=_redundancy_range(allowed),
        seen_overlap_ratio=_overlap_range(seen),
        seen_redundancy_ratio=_redundancy_range(seen),
    )


def _overlap_range(overlaps: Sequence[Overlap]) -> Range | None:
    return _range([one.overlap_ratio for one in overlaps])


def _redundancy_range(overlaps: Sequence[Overlap]) -> Range | None:
    return _range([one.redundancy_ratio for one in overlaps])


def _range(values: Sequence[float]) -> Range | None:
    return (min(values), max(values)) if values else None
