"""A table of the report: every cell is text that the template escapes, or a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.report.html.embedding import Embedded

Cell = str | Embedded


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; numbers stand at the right of their column."""

    heading: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns. ``is_current``: what is in force, and shown so."""

    cells: tuple[Cell, ...]
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """``caption`` says what the rows are."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(
        cls, caption: str, headings: Sequence[str], rows: Iterable[Row | Sequence[Cell]]
    ) -> Table:
        """A ``>`` behind a heading aligns its column to the right.

        Raises:
            ValueError: a row has not one cell a heading.
        """
        made = tuple(row if isinstance(row, Row) else Row(tuple(row)) for row in rows)
        if any(len(row.cells) != len(headings) for row in made):
            raise ValueError(f"a row of {caption!r} has not one cell a heading")
        columns = (Column(text.removesuffix(">"), text.endswith(">")) for text in headings)
        return cls(caption, tuple(columns), made)
