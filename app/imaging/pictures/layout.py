"""Lay out what every picture has around its drawing: a title above it, a legend below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Size
from app.core.plan.plan import CropPlan
from app.imaging.pictures.engine import text_width
from app.imaging.pictures.sheet import INK, QUIET, Sheet
from app.imaging.pictures.view import View

_NARROWEST = 34
"""A page's text is at least so wide, in sizes of the text."""
_LEADING = 1.45
"""A line of a paragraph takes this height, in sizes of its text."""
_LINE = 1.75
"""A line of a legend takes this height, in sizes of its text."""
_SAMPLE = 2.2
"""A sample of a legend takes this width, in sizes of its text."""


def base_size(side_px: float) -> float:
    """Return the size of ordinary text beside a drawing of this side, in px, never below 11."""
    return max(11.0, side_px / 82)


@dataclass(frozen=True, slots=True)
class Page:
    """Lay out a sheet with a title, a drawing at ``(x, y)`` and a legend.

    ``size`` is that of the text, and ``width`` the most px that a line of text takes.
    """

    sheet: Sheet
    size: float
    width: float
    x: int
    y: int

    @classmethod
    def begin(cls, plan: CropPlan, side_px: int, drawn_width: float) -> Page:
        """Begin a page with the title of a plan."""
        size = base_size(side_px)
        x, width = round(1.2 * size), max(drawn_width, _NARROWEST * size)
        sheet, y = Sheet(heading(plan)), 1.2 * size
        for paragraph in (
            Paragraph.of(heading(plan), 1.35 * size, width, colour=INK, bold=True),
            Paragraph(tuple(broken(plan_facts(plan), size, width)), size),
        ):
            y = paragraph.draw(sheet, x, y)
        return cls(sheet, size, width, x, round(y + 0.7 * size))

    def place(self, plan: CropPlan, drawn: Size) -> View:
        """Place the plan's canvas at the start of the drawing, at a size."""
        return View.of(plan.canvas, drawn, self.x, self.y)

    def end(self, width: float, height: float, entries: Sequence[Entry]) -> Sheet:
        """Put a legend under a drawing of this size, and return the sheet."""
        top = self.y + height + 0.5 * self.size
        bottom = _draw_legend(self.sheet, entries, self.x, top, self.size, self.width)
        return self.sheet.cut(2 * self.x + max(width, self.width), bottom + 0.8 * self.size)


def heading(plan: CropPlan) -> str:
    """Put tiling and crops in words."""
    grid = plan.grid
    crops = "1 crop" if grid.crops == 1 else f"{grid.crops} crops"
    return f"{grid.rows} × {grid.cols}: {crops} and the global one"


def plan_facts(plan: CropPlan) -> list[str]:
    """Put the other facts of a plan in words, in short parts."""
    config, overlap = plan.config, plan.overlap()
    return [
        f"{plan.image.width:,} × {plan.image.height:,} px",
        f"{config.family.name}, max crops {config.max_crops}",
        *_overridden(config),
        f"{plan.tokens.prompt:,} prompt tokens",
        f"{overlap.overlap_ratio:.1%} of patches in more than one crop",
    ]


def _overridden(config: CropConfig) -> list[str]:
    """Name the values of the configuration, besides max crops, that are not the family's own."""
    left, right = config.overlap_margins
    own = config.overlap_margins == config.family.overlap_margins
    return [
        *([] if own else [f"margins {left},{right}"]),
        *([] if config.is_native else [f"crops of {config.crop_size_px} px"]),
    ]


def counted(first: int, last: int) -> str:
    """Name one count, or the first and the last of several."""
    return str(first) if first == last else f"{first} to {last}"


def broken(
    parts: Sequence[str], size: float, width: float, between: str = "  ·  ", bold: bool = False
) -> list[str]:
    """Set parts in lines of this width. A part that is too long alone has a line of its own."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines else part
        if lines and text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Set lines of text, and know their height before they are drawn."""

    lines: tuple[str, ...]
    size: float
    colour: str = QUIET
    bold: bool = False

    @classmethod
    def of(
        cls, text: str, size: float, width: float, *, colour: str = QUIET, bold: bool = False
    ) -> Paragraph:
        """Set words in lines of this width."""
        return cls(tuple(broken(text.split(" "), size, width, " ", bold)), size, colour, bold)

    @property
    def height(self) -> float:
        """Return the px from top to bottom."""
        return len(self.lines) * self.size * _LEADING

    @property
    def width(self) -> float:
        """Return the px of the longest line."""
        return max(text_width(line, self.size, self.bold) for line in self.lines)

    def draw(self, sheet: Sheet, x: float, y: float) -> float:
        """Draw the text with its corner at ``(x, y)``, and return the y of its bottom."""
        for number, line in enumerate(self.lines):
            baseline = y + (number + 0.5 * (1 + 0.72 / _LEADING)) * self.size * _LEADING
            sheet.text(x, baseline, line, self.size, colour=self.colour, bold=self.bold)
        return y + self.height


@dataclass(frozen=True, slots=True)
class Entry:
    """Explain a mark in a legend. ``sample`` draws into a box; None for words alone."""

    text: str
    sample: Callable[[Sheet, Box], None] | None = None


def _draw_legend(
    sheet: Sheet, entries: Sequence[Entry], x: float, y: float, size: float, width: float
) -> float:
    """Draw a legend of this width with its corner at ``(x, y)``, and return the y of its bottom.

    A long entry goes on in the next line.
    """
    lines = _legend_lines(entries, size, width)
    for number, line in enumerate(lines):
        top, at = y + number * _LINE * size, x
        for entry in line:
            if entry.sample:
                box = Box(at, top + 0.3 * size, at + _SAMPLE * size, top + 1.45 * size)
                entry.sample(sheet, box)
            text_at = at + _indent(entry, size)
            sheet.text(text_at, top + 1.24 * size, entry.text, size, colour=QUIET)
            at += _width(entry, size) + 1.4 * size
    return y + len(lines) * _LINE * size


def _legend_lines(entries: Sequence[Entry], size: float, width: float) -> list[list[Entry]]:
    lines: list[list[Entry]] = []
    left = 0.0
    for part in (part for entry in entries for part in _fitting(entry, size, width)):
        needed = _width(part, size)
        if not lines or needed > left:
            lines.append([])
            left = width
        lines[-1].append(part)
        left -= needed + 1.4 * size
    return lines


def _indent(entry: Entry, size: float) -> float:
    return (_SAMPLE + 0.6) * size if entry.sample else 0.0


def _width(entry: Entry, size: float) -> float:
    return _indent(entry, size) + text_width(entry.text, size)


def _fitting(entry: Entry, size: float, width: float) -> list[Entry]:
    """Divide an entry into pieces no wider than a line; the first piece has the sample."""
    pieces = [Entry("", entry.sample)]
    for word in entry.text.split(" "):
        longer = Entry(f"{pieces[-1].text} {word}".strip(), pieces[-1].sample)
        if pieces[-1].text and _width(longer, size) > width:
            pieces.append(Entry(word))
        else:
            pieces[-1] = longer
    return pieces
