"""What every picture of a plan has around its drawing: a title above it, a legend below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan
from app.imaging.pictures.legend import Entry, Legend
from app.imaging.pictures.sheet import Sheet
from app.imaging.pictures.view import View
from app.imaging.pictures.words import base_size, heading, title_of

_NARROWEST = 34
"""Px that text may take across even beside a narrower drawing, in sizes of the text."""


@dataclass(frozen=True, slots=True)
class Page:
    """A sheet whose drawing begins at ``(x, y)``, for text of ``size`` at most ``width`` wide."""

    sheet: Sheet
    size: float
    width: float
    x: int
    y: int

    @classmethod
    def begin(cls, plan: CropPlan, side_px: int, drawn_width: float) -> Page:
        """With the title of this plan on it."""
        size = base_size(side_px)
        x, width = round(1.2 * size), max(drawn_width, _NARROWEST * size)
        sheet, y = Sheet(heading(plan)), 1.2 * size
        for paragraph in title_of(plan, size, width):
            y = paragraph.draw(sheet, x, y)
        return cls(sheet, size, width, x, round(y + 0.7 * size))

    def place(self, plan: CropPlan, drawn: Size) -> View:
        """The plan's canvas at this size, where the drawing begins."""
        return View.of(plan.canvas, drawn, self.x, self.y)

    def end(self, width: float, height: float, entries: Sequence[Entry]) -> Sheet:
        """The sheet, with a legend under a drawing of this size."""
        legend = Legend.of(entries, self.size, self.width)
        bottom = legend.draw(self.sheet, self.x, self.y + height + 0.5 * self.size)
        return self.sheet.cut(2 * self.x + max(width, self.width), bottom + 0.8 * self.size)


def counted(counts: Sequence[int]) -> str:
    """One count, or the first and the last of several."""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
