"""Define the elements of the page: tables and embedded pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from app.report.experiment import Examined

MOST_PICTURED = 12
"""Embed the pictures of at most this number of images; more would load for minutes."""

PICTURE_PX = 1100
"""Limit the longer side of a picture. Text in a picture of this size is readable."""

CROP_PX = 96
"""Limit the longer side of a crop in its table."""

_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Embedded:
    """Hold a picture as the ``src`` of an ``img``, with its size in px and its alternative text."""

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
    """Embed the pictures of the examined images, by the names of their files.

    Args:
        examined: the images; the first ``MOST_PICTURED`` get pictures.
        folder: of the files.
        workers: threads; Pillow releases the lock during decoding and encoding.
        progress: called with the number of pictures done and the number of all.

    Raises:
        OSError: a file is missing or no picture.
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
    """Return the name, longest side and alternative text of each picture."""
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
    """Embed a picture, reduced to a longest side of ``side_px``, as WebP: a third of PNG's bytes.

    Raises:
        OSError: the file is missing or no picture.
    """
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_QUALITY, method=4)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Embedded(f"data:image/webp;base64,{data}", picture.width, picture.height, alt)


Cell = str | Embedded
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table. Each cell is a picture, or text that the template escapes.

    A ``>`` at the end of a heading aligns its column to the right. ``current`` has the indices of
    the rows of the present setting.

    Raises:
        ValueError: a row and the headings differ in length.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    current: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.headings) for row in self.rows):
            raise ValueError(f"a row of {self.caption!r} has not one cell a heading")


def table_of(
    caption: str,
    columns: Iterable[tuple[str, Callable[[T], Cell]]],
    values: Iterable[T],
    is_current: Callable[[T], bool] = lambda _: False,
) -> Table:
    """Make a table with a row a value, from headings with the text of their cells."""
    headings, cells = zip(*columns, strict=True)
    shown = tuple(values)
    rows = tuple(tuple(cell(one) for cell in cells) for one in shown)
    current = frozenset(index for index, one in enumerate(shown) if is_current(one))
    return Table(caption, headings, rows, current)
