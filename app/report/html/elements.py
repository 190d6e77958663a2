"""Pictures inside of the report, no larger than they are shown, so that it needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.report.experiment import Examined

MOST_PICTURED = 12
"""Of more images than these the report has the figures alone, or it would take minutes to load."""

PICTURE_PX = 1100
"""Longer side of a picture: what a page shows of it, and text in it is still read."""

CROP_PX = 96
"""Of a crop in its table."""

_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Embedded:
    """A picture as the ``src`` of an ``img``, with its size in px and what it shows."""

    src: str
    width: int
    height: int
    alt: str


def embed_all(
    examined: Sequence[Examined],
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None],
) -> Mapping[str, Embedded]:
    """The pictures of the images that were looked at, by the name of their file.

    Args:
        examined: the images; pictures of the first ``MOST_PICTURED`` are taken.
        folder: where the files are.
        workers: threads; Pillow lets others run while it decodes and encodes.
        progress: called with how many are done, and of how many.

    Raises:
        OSError: a file is not there, or is no picture.
    """
    wanted = [one for image in examined[:MOST_PICTURED] for one in _pictures_of(image)]
    made: dict[str, Embedded] = {}
    with ThreadPoolExecutor(workers) as pool:
        pictures = pool.map(lambda one: embed(folder / one[0], one[1], one[2]), wanted)
        for (name, _, _), picture in zip(wanted, pictures, strict=True):
            made[name] = picture
            progress(len(made), len(wanted))
    return made


def _pictures_of(image: Examined) -> list[tuple[str, int, str]]:
    """Name, longest side and alternative text of each."""
    files, name = image.files, image.image.file_name
    shown = [
        (files.crops, PICTURE_PX, f"The boundaries of the crops on {name}"),
        (files.comparison, PICTURE_PX, f"{name} beside its crops"),
        (files.statistics, PICTURE_PX, f"How often the patches of {name} are encoded"),
        (files.global_crop, CROP_PX, "The global crop"),
        *((crop, CROP_PX, f"Crop {index}") for index, crop in enumerate(files.grid_crops)),
    ]
    return [(file, side_px, alt) for file, side_px, alt in shown if file is not None]


def embed(path: Path, side_px: int, alt: str) -> Embedded:
    """A picture with no side longer than ``side_px``, as WebP: a third of PNG's bytes or less.

    Raises:
        OSError: the file is not there, or is no picture.
    """
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_QUALITY, method=4)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Embedded(f"data:image/webp;base64,{data}", picture.width, picture.height, alt)


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
