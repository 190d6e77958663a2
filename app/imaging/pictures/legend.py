"""A legend: samples and what they mean, set in as many lines as they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.core.plan.geometry import Box
from app.imaging.pictures.engine import text_width
from app.imaging.pictures.sheet import QUIET, Sheet

_LINE = 1.75
_SAMPLE = 2.2
"""Px of a line and of a sample, in sizes of the text."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``sample`` draws into a box; None for words alone."""

    text: str
    sample: Callable[[Sheet, Box], None] | None = None


@dataclass(frozen=True, slots=True)
class Legend:
    """Entries by line; the words of an entry that is longer than a line go on in the next."""

    lines: tuple[tuple[Entry, ...], ...]
    size: float

    @classmethod
    def of(cls, entries: Sequence[Entry], size: float, width: float) -> Legend:
        """Set out within this width."""
        lines: list[list[Entry]] = []
        left = 0.0
        for part in (part for entry in entries for part in _fitting(entry, size, width)):
            needed = _width(part, size)
            if not lines or needed > left:
                lines.append([])
                left = width
            lines[-1].append(part)
            left -= needed + 1.4 * size
        return cls(tuple(tuple(line) for line in lines), size)

    @property
    def height(self) -> float:
        """Px from its top to its bottom."""
        return len(self.lines) * _LINE * self.size

    def draw(self, sheet: Sheet, x: float, y: float) -> float:
        """Set it with its corner at ``(x, y)``; the y of its bottom."""
        for number, line in enumerate(self.lines):
            top, at = y + number * _LINE * self.size, x
            for entry in line:
                if entry.sample:
                    box = Box(
                        at, top + 0.3 * self.size, at + _SAMPLE * self.size, top + 1.45 * self.size
                    )
                    entry.sample(sheet, box)
                text_at = at + _indent(entry, self.size)
                sheet.text(text_at, top + 1.24 * self.size, entry.text, self.size, colour=QUIET)
                at += _width(entry, self.size) + 1.4 * self.size
        return y + self.height


def _indent(entry: Entry, size: float) -> float:
    return (_SAMPLE + 0.6) * size if entry.sample else 0.0


def _width(entry: Entry, size: float) -> float:
    return _indent(entry, size) + text_width(entry.text, size)


def _fitting(entry: Entry, size: float, width: float) -> list[Entry]:
    """The entry, in pieces that are no wider than a line."""
    pieces = [Entry("", entry.sample)]
    for word in entry.text.split(" "):
        longer = Entry(f"{pieces[-1].text} {word}".strip(), pieces[-1].sample)
        if pieces[-1].text and _width(longer, size) > width:
            pieces.append(Entry(word))
        else:
            pieces[-1] = longer
    return pieces
