"""Shade padding, overlap and coverage so that they show on any ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from matplotlib import colormaps
from matplotlib.colors import to_hex

from app.core.plan.geometry import Box
from app.core.plan.plan import CropPlan
from app.imaging.pictures.layout import Entry
from app.imaging.pictures.sheet import Segment, Sheet
from app.imaging.pictures.view import padding_of

_BLACK, _WHITE, _GREY = "#000000", "#ffffff", "#6e7781"
_MOST_CLASSES = 6
_USUAL_MOST = 4
"""At a corner four crops meet. So 1, 2 and 4 have the same colours in every usual picture."""


def mark_padding(
    sheet: Sheet, box: Box, size: float, *, gid: str | None = None, shows: float = 1
) -> None:
    """Draw padding black, as the model gets it, with broad grey stripes.

    Black alone could be a dark part of the picture. ``shows`` is the opacity of the black.
    """
    sheet.box(box, fill=_BLACK, alpha=shows, gid=gid)
    lines = diagonals(box, 0.9 * size, rising=False)
    sheet.lines(lines, colour=_GREY, width=0.22 * size, within=box)


def padding_entry(plan: CropPlan, size: float) -> list[Entry]:
    """Explain the mark in the legend of a plan with padding."""
    if not padding_of(plan.canvas):
        return []
    return [Entry("padding, black to the model", lambda sheet, box: mark_padding(sheet, box, size))]


def mark_overlap(sheet: Sheet, box: Box, count: int, size: float) -> None:
    """Hatch an overlap of two crops one way, and an overlap of more crops both ways.

    Each line is black beside white: one of the two shows on any ground.
    """
    width, spacing = max(0.6, size / 20), 0.85 * size
    for rising in (True, False)[: min(2, count - 1)]:
        for colour, shift in ((_BLACK, 0.0), (_WHITE, width)):
            lines = diagonals(box, spacing, rising=rising, shift=shift)
            sheet.lines(lines, colour=colour, width=width, alpha=0.5)


def diagonals(box: Box, spacing: float, *, rising: bool, shift: float = 0) -> list[Segment]:
    """Return lines at 45° within a box. The lines of boxes side by side meet.

    Args:
        box: in px of the sheet.
        spacing: px between two lines, measured across the sheet.
        rising: to the right; else falling.
        shift: px to the right for all lines.
    """
    # On a line, x + y or x - y is a multiple of the spacing, but for the shift.
    low, high = (box.x0 + box.y0, box.x1 + box.y1) if rising else (box.x0 - box.y1, box.x1 - box.y0)
    first, last = ceil((low - shift) / spacing), floor((high - shift) / spacing)
    segments: list[Segment] = []
    for number in range(first, last + 1):
        at = number * spacing + shift
        if rising:
            x0, x1 = max(box.x0, at - box.y1), min(box.x1, at - box.y0)
            ends = ((x0, at - x0), (x1, at - x1))
        else:
            x0, x1 = max(box.x0, at + box.y0), min(box.x1, at + box.y1)
            ends = ((x0, x0 - at), (x1, x1 - at))
        if x0 < x1:
            segments.append(ends)
    return segments


@dataclass(frozen=True, slots=True)
class CoverageClass:
    """Colour the coverage by ``first`` to ``last`` crops, both included."""

    first: int
    last: int
    colour: str


def coverage_classes(counts: Sequence[int]) -> tuple[CoverageClass, ...]:
    """Give each count a class, or put many counts into classes of doubling width.

    The colours are matplotlib's viridis, from dark to light: even in lightness, and as clear to the
    colour-blind and in grey.
    """
    present = sorted(set(counts))
    most = max(_USUAL_MOST, present[-1])
    ranges = [(count, count) for count in present]
    if len(present) > _MOST_CLASSES:
        doubling = [(2**n // 2 + 1, 2**n) for n in range(most.bit_length() + 1)]
        held = [[count for count in present if low <= count <= high] for low, high in doubling]
        ranges = [(inside[0], inside[-1]) for inside in held if inside]
    viridis = colormaps["viridis"]
    return tuple(
        CoverageClass(first, last, to_hex(viridis(log2(last) / log2(most))))
        for first, last in ranges
    )
