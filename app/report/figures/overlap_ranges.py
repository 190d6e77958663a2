"""Compare ranges of overlap, by the shape of the grid, with published ranges.

Our figures count patches: a crop is all of the 24x24 (27x27) patches given to the encoder. The
published ranges are said to come from 224 px windows, mapped back onto the image without shared
margins and padding. Such windows do not overlap, so that origin alone does not give the ranges.
docs/method/overlap.md has the definitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid
from app.core.plan.overlap import Overlap, grid_overlap
from app.core.plan.tiling import candidate_grids
from app.report.figures.averages import Planned

Figure = Literal["overlap_ratio", "redundancy_ratio"]
Verdict = Literal["within", "partly", "outside", "no image"]


@dataclass(frozen=True, slots=True)
class Claim:
    """State a published range of a figure. A ``shape`` of None means all tilings."""

    figure: Figure
    shape: Shape | None
    published: Range


CLAIMS = (
    Claim("overlap_ratio", "row", (0.0, 0.15)),
    Claim("overlap_ratio", "square", (0.30, 0.40)),
    Claim("redundancy_ratio", None, (1.0, 1.6)),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compare a claim with the allowed tilings and with the images of the set.

    ``seen`` is of the images' own content. ``verdict`` places ``seen`` in the published range, or
    says "no image".
    """

    claim: Claim
    allowed: Range | None
    seen: Range | None
    verdict: Verdict


def compare_with_published(shapes: Sequence[ShapeRow]) -> tuple[Comparison, ...]:
    """Compare every published range with the findings."""
    return tuple(_comparison(claim, shapes) for claim in CLAIMS)


def _comparison(claim: Claim, shapes: Sequence[ShapeRow]) -> Comparison:
    rows = [row for row in shapes if claim.shape in (None, row.shape)]
    allowed = _union(getattr(row, claim.figure) for row in rows)
    seen = _union(getattr(row, f"seen_{claim.figure}") for row in rows)
    return Comparison(claim, allowed, seen, _verdict(seen, claim.published))


def _union(ranges: Iterable[Range | None]) -> Range | None:
    return _range([end for one in ranges if one is not None for end in one])


def _verdict(seen: Range | None, published: Range) -> Verdict:
    if seen is None:
        return "no image"
    (low, high), (least, most) = seen, published
    if least <= low and high <= most:
        return "within"
    return "outside" if high < least or low > most else "partly"


@dataclass(frozen=True, slots=True)
class Explained:
    """Hold overlaps of the released Molmo 1 to judge the published ranges by.

    ``windows`` treats 2x2 windows, the steps between crops, as crops. The others are of the real
    crops.
    """

    window_px: int
    windows: Overlap
    row_of_two: Overlap
    square_of_two: Overlap
    square_of_three: Overlap


def explained() -> Explained:
    """Compute the overlaps to judge the published ranges by."""
    released = make_config(family_named(DEFAULT_FAMILY))
    windows = replace(released, overlap_margins=(0, 0), crop_size_px=released.window_px)
    return Explained(
        window_px=released.window_px,
        windows=grid_overlap(Grid(2, 2), windows),
        row_of_two=grid_overlap(Grid(1, 2), released),
        square_of_two=grid_overlap(Grid(2, 2), released),
        square_of_three=grid_overlap(Grid(3, 3), released),
    )


Shape = Literal["one crop", "row", "square", "rectangle"]
"""Name the shape of a grid: 1x1; one row or column; equal sides; any other."""

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """Describe the tilings of one shape.

    The first two ranges are over the allowed tilings on the whole canvas, the ``seen_…`` ranges
    over the content of the images. A range over nothing is None.
    """

    shape: Shape
    tilings: int
    images: int
    overlap_ratio: Range | None
    redundancy_ratio: Range | None
    seen_overlap_ratio: Range | None
    seen_redundancy_ratio: Range | None


def shape_of(grid: Grid) -> Shape:
    """Return the shape of a grid."""
    if grid.crops == 1:
        return "one crop"
    if grid.rows == grid.cols:
        return "square"
    return "row" if 1 in (grid.rows, grid.cols) else "rectangle"


def shape_rows(planned: Sequence[Planned], config: CropConfig) -> tuple[ShapeRow, ...]:
    """Return one row a shape."""
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
        overlap_ratio=_range([one.overlap_ratio for one in allowed]),
        redundancy_ratio=_range([one.redundancy_ratio for one in allowed]),
        seen_overlap_ratio=_range([one.overlap_ratio for one in seen]),
        seen_redundancy_ratio=_range([one.redundancy_ratio for one in seen]),
    )


def _range(values: Sequence[float]) -> Range | None:
    return (min(values), max(values)) if values else None
