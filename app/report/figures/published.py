"""Figures of crop overlap that were published, beside ours, and what tells them apart.

Ours count patches: a crop is all of the 24x24 (27x27) patches that the encoder is given of it. The
published ones are said to come from 224 px windows that were mapped back onto the image, without
the margins that neighbouring crops share and without the padding; but such windows do not overlap,
so that alone does not give them. docs/method/overlap.md has the definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid
from app.core.plan.overlap import Overlap, grid_overlap
from app.report.figures.shapes import Range, Shape, ShapeRow

Figure = Literal["overlap_ratio", "redundancy_ratio"]
Verdict = Literal["within", "partly", "outside", "no image"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A range that was published for a figure; ``shape`` None: for all tilings."""

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
    """A claim, the range over the tilings that are allowed, and that over the set's images.

    The latter is of the images' own content. ``verdict`` says how the images' range, or without
    images the tilings', lies in the published one.
    """

    claim: Claim
    allowed: Range | None
    seen: Range | None
    verdict: Verdict


def compare_with_published(shapes: Sequence[ShapeRow]) -> tuple[Comparison, ...]:
    """Every published figure beside what was found."""
    return tuple(_comparison(claim, shapes) for claim in CLAIMS)


def _comparison(claim: Claim, shapes: Sequence[ShapeRow]) -> Comparison:
    rows = [row for row in shapes if claim.shape in (None, row.shape)]
    if claim.figure == "overlap_ratio":
        allowed = _union([row.overlap_ratio for row in rows])
        seen = _union([row.seen_overlap_ratio for row in rows])
    else:
        allowed = _union([row.redundancy_ratio for row in rows])
        seen = _union([row.seen_redundancy_ratio for row in rows])
    return Comparison(claim, allowed, seen, _verdict(seen, claim.published))


def _union(ranges: Sequence[Range | None]) -> Range | None:
    known = [one for one in ranges if one is not None]
    if not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _verdict(seen: Range | None, published: Range) -> Verdict:
    if seen is None:
        return "no image"
    (low, high), (least, most) = seen, published
    if least <= low and high <= most:
        return "within"
    return "outside" if high < least or low > most else "partly"


@dataclass(frozen=True, slots=True)
class Explained:
    """Overlap by which the published figures can be judged, of Molmo 1 as it was released.

    ``windows`` is that of 2x2 windows, the steps from crop to crop, as if they were the crops; the
    others are of the crops that the encoder is given.
    """

    window_px: int
    windows: Overlap
    row_of_two: Overlap
    square_of_two: Overlap
    square_of_three: Overlap


def explained() -> Explained:
    """What the published figures are held against."""
    released = make_config(family_named(DEFAULT_FAMILY))
    windows = replace(released, overlap_margins=(0, 0), crop_size_px=released.window_px)
    return Explained(
        window_px=released.window_px,
        windows=grid_overlap(Grid(2, 2), windows),
        row_of_two=grid_overlap(Grid(1, 2), released),
        square_of_two=grid_overlap(Grid(2, 2), released),
        square_of_three=grid_overlap(Grid(3, 3), released),
    )
