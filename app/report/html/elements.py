"""Define the elements of the page: tables, embedded pictures, and charts as SVG.

Each placeholder colour of a chart is replaced by a variable of the page's style sheet, light or
dark. A separate image file could not use those variables.
"""

import base64
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from app.imaging.pictures.sheet import drawing, svg_element
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


WIDTH_PX = 400
"""Draw charts a little wider than a phone, so that their text is neither tiny nor huge."""

TEXT_PX = 12
SMALL_PX = 10.5

INK, QUIET, LINE = "#000001", "#000002", "#000003"
SERIES = ("#000011", "#000012", "#000013", "#000014", "#000015")
"""Stand for colours that the style sheet keeps far apart, also for the colour-blind."""

_VARIABLES = {
    INK: "--ink",
    QUIET: "--quiet",
    LINE: "--line",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, 1)},
}

_DPI = 72  # a px of the drawing is a unit of the SVG


def chart(
    name: str,
    label: str,
    height_px: float,
    draw: Callable[[Figure], None],
) -> str:
    """Draw a figure as an ``<svg>`` for the page; the same drawing gives the same text.

    Matplotlib and this function escape all texts, so the page may insert the element unescaped.

    Args:
        name: a prefix of ids, unique in the page.
        label: the alternative text.
        height_px: before the page scales the chart.
        draw: draws on the figure, whose layout makes room for its texts.
    """
    with drawing():
        mpl.rcParams.update({"svg.fonttype": "none", "font.size": TEXT_PX})
        figure = Figure((WIDTH_PX / _DPI, height_px / _DPI), dpi=_DPI, layout="constrained")
        figure.patch.set_visible(False)
        draw(figure)
        element = svg_element(figure)
    return _for_page(element, name, label)


def plain_axes(axes: Axes) -> None:
    """Remove the frame and the marks, and give the texts the page's colours."""
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK, labelsize=TEXT_PX)
    axes.xaxis.label.set_color(QUIET)
    axes.yaxis.label.set_color(QUIET)


def legend(figure: Figure, axes: Axes, *, columns: int) -> None:
    """Explain the marks of these axes above the whole figure."""
    handles, labels = axes.get_legend_handles_labels()
    made = figure.legend(
        handles, labels, loc="outside upper center", ncols=columns, columnspacing=1, frameon=False
    )
    for text in made.get_texts():
        text.set_color(INK)


def _for_page(svg: str, name: str, label: str) -> str:
    """Give the element ids of its own and the colours of the page."""
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # it would style the whole page
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box, "matplotlib writes one"
    start = f'<svg class="chart" role="img" aria-label="{escape(label)}" {box[0]}>'
    svg = re.sub(r"<svg[^>]*>", lambda _: start, svg, count=1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    return re.sub("|".join(_VARIABLES), lambda found: f"var({_VARIABLES[found[0]]})", svg)
