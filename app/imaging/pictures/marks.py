"""How padding and overlap look: stripes and hatching that show on any ground."""

from __future__ import annotations

from math import ceil, floor

from app.core.plan.geometry import Box
from app.core.plan.plan import CropPlan
from app.imaging.pictures.legend import Entry
from app.imaging.pictures.sheet import Segment, Sheet
from app.imaging.pictures.zones import padding_of

_BLACK, _WHITE, _GREY = "#000000", "#ffffff", "#6e7781"


def mark_padding(
    sheet: Sheet, box: Box, size: float, *, gid: str | None = None, shows: float = 1
) -> None:
    """Black, as the model gets it, in broad grey stripes, since pictures are black in places too.

    ``shows``: how far, below 1 where what is under it is to be seen as well.
    """
    sheet.box(box, fill=_BLACK, alpha=shows, gid=gid)
    lines = diagonals(box, 0.9 * size, rising=False)
    sheet.lines(lines, colour=_GREY, width=0.22 * size, within=box)


def padding_entry(plan: CropPlan, size: float) -> list[Entry]:
    """What the mark means, if this plan has any padding."""
    if not padding_of(plan.canvas):
        return []
    return [Entry("padding, black to the model", lambda sheet, box: mark_padding(sheet, box, size))]


def mark_overlap(sheet: Sheet, box: Box, count: int, size: float) -> None:
    """Hatched one way where two crops overlap, both ways where more do.

    Each line is black beside white, so that one of the two shows.
    """
    width, spacing = max(0.6, size / 20), 0.85 * size
    for rising in (True, False)[: min(2, count - 1)]:
        for colour, shift in ((_BLACK, 0.0), (_WHITE, width)):
            lines = diagonals(box, spacing, rising=rising, shift=shift)
            sheet.lines(lines, colour=colour, width=width, alpha=0.5)


def diagonals(box: Box, spacing: float, *, rising: bool, shift: float = 0) -> list[Segment]:
    """Lines at 45° within a box, on a lattice of the sheet's own so that those of boxes meet.

    Args:
        box: in px of the sheet.
        spacing: px between two lines, measured across the sheet.
        rising: to the right; else falling.
        shift: px by which all lie further right.
    """
    # A line is where x + y, or x - y, is a multiple of the spacing, but for the shift.
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
