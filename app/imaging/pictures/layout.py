"""Lay out what every picture has around its drawing: a title above it, a legend below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.core.plan.geometry import Box, Size
from app.core.plan.plan import CropPlan
from app.imaging.pictures.sheet import INK, QUIET, Sheet, text_width
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
        """Begin a page with the title and the facts of a plan."""
        size, grid = base_size(side_px), plan.grid
        x, width = round(1.2 * size), max(drawn_width, _NARROWEST * size)
        crops = "1 crop" if grid.crops == 1 else f"{grid.crops} crops"
        title = f"{grid.rows} × {grid.cols}: {crops} and the global one"
        sheet = Sheet(title)
        lines = wrapped(title.split(" "), 1.35 * size, width, " ", bold=True)
        y = write_lines(sheet, x, 1.2 * size, lines, 1.35 * size, colour=INK, bold=True)
        y = write_lines(sheet, x, y, wrapped(_facts(plan), size, width), size)
        return cls(sheet, size, width, x, round(y + 0.7 * size))

    def place(self, plan: CropPlan, drawn: Size) -> View:
        """Place the plan's canvas at the start of the drawing, at a size."""
        across, down = drawn.width / plan.canvas.width, drawn.height / plan.canvas.height
        return View(self.x, self.y, drawn, across, down)

    def end(self, width: float, height: float, entries: Sequence[Entry]) -> Sheet:
        """Put a legend under a drawing of this size, and return the sheet."""
        top = self.y + height + 0.5 * self.size
        bottom = _draw_legend(self.sheet, entries, self.x, top, self.size, self.width)
        return self.sheet.cut(2 * self.x + max(width, self.width), bottom + 0.8 * self.size)


def _facts(plan: CropPlan) -> list[str]:
    """Put the facts of a plan in words, with all values that are not the family's own."""
    config, overlap = plan.config, plan.overlap()
    left, right = config.overlap_margins
    own_margins = config.overlap_margins == config.family.overlap_margins
    return [
        f"{plan.image.width:,} × {plan.image.height:,} px",
        f"{config.family.name}, max crops {config.max_crops}",
        *([] if own_margins else [f"margins {left},{right}"]),
        *([] if config.is_native else [f"crops of {config.crop_size_px} px"]),
        f"{plan.tokens.prompt:,} prompt tokens",
        f"{overlap.overlap_ratio:.1%} of patches in more than one crop",
    ]


def counted(first: int, last: int) -> str:
    """Name one count, or the first and the last of several."""
    return str(first) if first == last else f"{first} to {last}"


def wrapped(
    parts: Sequence[str],
    size: float,
    width: float,
    between: str = "  ·  ",
    *,
    bold: bool = False,
    indent: float = 0,
) -> list[str]:
    """Set parts in lines of this width, the first of them indented.

    A part that is too long alone has a line of its own.
    """
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines else part
        start = indent if len(lines) == 1 else 0
        if lines and start + text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def write_lines(
    sheet: Sheet,
    x: float,
    y: float,
    lines: Sequence[str],
    size: float,
    *,
    colour: str = QUIET,
    bold: bool = False,
) -> float:
    """Write a paragraph with its corner at ``(x, y)``, and return the y of its bottom."""
    for number, line in enumerate(lines):
        baseline = y + (number + 0.5 * (1 + 0.72 / _LEADING)) * size * _LEADING
        sheet.text(x, baseline, line, size, colour=colour, bold=bold)
    return y + len(lines) * size * _LEADING


@dataclass(frozen=True, slots=True)
class Entry:
    """Explain a mark in a legend. ``sample`` draws into a box; None for words alone."""

    text: str
    sample: Callable[[Sheet, Box], None] | None = None


def _draw_legend(
    sheet: Sheet, entries: Sequence[Entry], x: float, y: float, size: float, width: float
) -> float:
    """Draw a legend of this width with its corner at ``(x, y)``, and return the y of its bottom.

    A long entry goes on in the next line, without its sample.
    """
    line, at, left = -1, x, 0.0
    for entry in entries:
        indent = (_SAMPLE + 0.6) * size if entry.sample else 0.0
        sample = entry.sample
        for text in wrapped(entry.text.split(" "), size, width, " ", indent=indent):
            needed = indent + text_width(text, size)
            if needed > left:
                line, at, left = line + 1, x, width
            top = y + line * _LINE * size
            if sample:
                sample(sheet, Box(at, top + 0.3 * size, at + _SAMPLE * size, top + 1.45 * size))
            sheet.text(at + indent, top + 1.24 * size, text, size, colour=QUIET)
            at += needed + 1.4 * size
            left -= needed + 1.4 * size
            indent, sample = 0.0, None
    return y + (line + 1) * _LINE * size
