"""A sheet to draw on, in px with y down: what the kinds of pictures draw with, by matplotlib.

Imported when something is drawn and not before: matplotlib takes 0.3 s to import.

Everything is drawn at 72 px an inch, so that a px of the sheet, a point of text and a unit of the
SVG are one and the same.
"""

from __future__ import annotations

import base64
import io
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D
from PIL import Image

from app.core.geometry import Box, Size
from app.imaging.pictures.kinds import PictureFormat
from app.imaging.render import write

_DRAWING = threading.Lock()
"""One drawing at a time: matplotlib is not thread-safe, by its own documentation, and its settings,
which we set for the time of a drawing, are global. Decoding and resizing are done outside of it."""

_DPI = 72
_JPEG_QUALITY = 88
_FIGURE = '<g id="figure_1">'
"""What all that matplotlib draws is in."""

INK = "#1b1f24"
QUIET = "#57606a"
PAPER = "#ffffff"

Across = Literal["left", "center", "right"]
Down = Literal["top", "center", "baseline", "bottom"]


@contextmanager
def drawing() -> Iterator[None]:
    """Hold matplotlib, with the settings it ships with, whatever a ``matplotlibrc`` says."""
    with _DRAWING, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "crop-planner"  # else ids are random
        yield


@cache
def _font_file(bold: bool) -> Path:
    return Path(mpl.get_data_path(), "fonts/ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@lru_cache(maxsize=64)
def font(size: float, bold: bool) -> FontProperties:
    """The font that matplotlib ships, by its file: what the machine has changes nothing."""
    return FontProperties(size=size, fname=_font_file(bold))


@lru_cache(maxsize=1024)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Px that a line of text takes."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, font(size, bold), ismath=False)
    return float(width)


class Sheet:
    """What is to be drawn, in the order it is put on; used inside of :func:`drawing`."""

    def __init__(self) -> None:
        self._artists: list[Artist] = []
        self._photos: list[tuple[Image.Image, int, int]] = []
        self._to_figure = Affine2D()

    def photo(self, image: Image.Image, x: float, y: float) -> None:
        """An RGB picture, a px of it a px of the sheet, its corner at ``(x, y)``, under it all."""
        self._photos.append((image, round(x), round(y)))

    def box(
        self,
        box: Box,
        *,
        fill: str | None = None,
        edge: str | None = None,
        width: float = 0,
        alpha: float | None = None,
        hatch: str | None = None,
        hatch_colour: str = INK,
        hatch_width: float = 1,
        dash: Sequence[float] = (),
        gid: str | None = None,
    ) -> None:
        """A rectangle. ``dash`` in line widths."""
        made = Rectangle(
            (box.x0, box.y0),
            box.x1 - box.x0,
            box.y1 - box.y0,
            facecolor=fill or "none",
            edgecolor=edge or "none",
            linewidth=width if edge else 0,
            linestyle=(0, tuple(dash)) if dash else "solid",
            joinstyle="miter",
            capstyle="butt",
            alpha=alpha,
            hatch=hatch,
            hatchcolor=hatch_colour,
        )
        made.set_hatch_linewidth(hatch_width)
        self._add(made, gid)

    def lines(
        self,
        segments: Sequence[tuple[tuple[float, float], tuple[float, float]]],
        *,
        colour: str,
        width: float,
        alpha: float = 1,
        dash: Sequence[float] = (),
        gid: str | None = None,
    ) -> None:
        """Straight lines, all alike."""
        made = LineCollection(
            segments,
            colors=colour,
            linewidths=width,
            alpha=alpha,
            linestyles=[(0, tuple(dash))] if dash else "solid",
        )
        self._add(made, gid)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        colour: str = INK,
        bold: bool = False,
        across: Across = "left",
        down: Down = "baseline",
        halo: str | None = None,
    ) -> None:
        """A line of text; ``halo`` is a colour around its letters."""
        made = Text(
            x,
            y,
            text,
            color=colour,
            fontproperties=font(size, bold),
            horizontalalignment=across,
            verticalalignment="center_baseline" if down == "center" else down,
            parse_math=False,
        )
        if halo:
            made.set_path_effects([withStroke(linewidth=size / 5, foreground=halo)])
        self._add(made)

    def chip(
        self, x: float, y: float, text: str, size: float, *, fill: str, ink: str, gid: str
    ) -> None:
        """A text centred at ``(x, y)`` on a rounded field of its own."""
        across = max(text_width(text, size, True) + 0.7 * size, 1.5 * size)
        down = 1.5 * size
        field = FancyBboxPatch(
            (x - across / 2, y - down / 2),
            across,
            down,
            boxstyle=f"round,pad=0,rounding_size={size * 0.4}",
            facecolor=fill,
            edgecolor=ink,
            linewidth=max(0.8, size / 14),
        )
        self._add(field, gid)
        self.text(x, y, text, size, colour=ink, bold=True, across="center", down="center")

    def render(self, width: float, height: float, form: PictureFormat) -> bytes:
        """The sheet as a file. Its sides are rounded up to whole px."""
        size = Size(math.ceil(width), math.ceil(height))
        self._to_figure.clear().scale(1, -1).translate(0, size.height)
        figure = Figure(figsize=(_inches(size.width), _inches(size.height)), dpi=_DPI)
        figure.patch.set_visible(False)  # the paper and the photos are put under it
        for order, artist in enumerate(self._artists):
            artist.set_zorder(order)
            figure.add_artist(artist)
        return self._png(figure, size) if form == "png" else self._svg(figure, size)

    def _png(self, figure: Figure, size: Size) -> bytes:
        ground = Image.new("RGB", (size.width, size.height), PAPER)
        for photo, x, y in self._photos:
            ground.paste(photo, (x, y))
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # theirs
        pixels = np.asarray(renderer.buffer_rgba())
        pixels[:] = ground.convert("RGBA")
        figure.draw(renderer)
        return write(Image.fromarray(np.ascontiguousarray(pixels[..., :3])), "png", None, None)

    def _svg(self, figure: Figure, size: Size) -> bytes:
        buffer = io.StringIO()
        # All of its metadata left out: a date among it would make each file another.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]  # theirs
        points = f'width="{size.width}pt" height="{size.height}pt"'
        pixels = f'width="{size.width}" height="{size.height}"'
        paper = f'<rect {pixels} fill="{PAPER}"/>'
        drawn = buffer.getvalue().replace(points, pixels, 1)
        under = "".join((paper, *(_embedded(*photo) for photo in self._photos)))
        return drawn.replace(_FIGURE, under + _FIGURE, 1).encode()

    def _add(self, artist: Artist, gid: str | None = None) -> None:
        artist.set_transform(self._to_figure)
        if gid is not None:
            artist.set_gid(gid)
        self._artists.append(artist)


def _inches(px: int) -> float:
    """So many that matplotlib, which rounds down, comes to ``px`` again."""
    inches = px / _DPI
    return inches if inches * _DPI >= px else math.nextafter(inches, math.inf)


def _embedded(photo: Image.Image, x: int, y: int) -> str:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<image x="{x}" y="{y}" width="{photo.width}" height="{photo.height}" '
        f'xlink:href="data:image/jpeg;base64,{data}"/>'
    )
