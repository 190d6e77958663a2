"""Draw shapes and text on a sheet with matplotlib, in px with y down, and write PNG and SVG.

Import this module only to draw: matplotlib takes 0.3 s to import.
"""

from __future__ import annotations

import base64
import io
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from html import escape
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
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D
from PIL import Image

from app.core.plan.geometry import Box, Size
from app.imaging.write.render import write

INK = "#1b1f24"
QUIET = "#57606a"
PAPER = "#ffffff"

Segment = tuple[tuple[float, float], tuple[float, float]]

_DRAWING = threading.Lock()
"""matplotlib is not thread-safe, by its own documentation, and its settings are global."""
_DPI = 72
"""With 72, a px of the sheet, a point of text and a unit of the SVG are the same."""
_JPEG_QUALITY = 88
_FIGURE = '<g id="figure_1">'
"""matplotlib puts the whole drawing into this group."""
_DIGITS = 0.73
"""Digits are so high, in sizes of the text."""


@contextmanager
def drawing() -> Iterator[None]:
    """Hold matplotlib, with the settings it ships with instead of those in a ``matplotlibrc``."""
    with _DRAWING, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "crop-planner"  # else ids are random
        yield


@lru_cache(maxsize=64)
def _font(size: float, bold: bool) -> FontProperties:
    """Return the font that matplotlib ships, so that the machine's fonts change nothing."""
    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return FontProperties(size=size, fname=f"{mpl.get_data_path()}/fonts/ttf/{name}")


@lru_cache(maxsize=1024)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Measure the width of a line of text in px, inside of :func:`drawing`."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, _font(size, bold), ismath=False)
    return float(width)


class Sheet:
    """Collect shapes and texts in the order of drawing, inside of :func:`drawing`.

    ``figure`` holds all but the photos. :meth:`cut` decides ``size``.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.size = Size(1, 1)
        self.figure = Figure(dpi=_DPI)
        self.figure.patch.set_visible(False)
        self._photos: list[tuple[Image.Image, int, int]] = []
        self._to_figure = Affine2D()

    def photo(self, image: Image.Image, x: int, y: int) -> None:
        """Put an RGB picture under all else, its corner at ``(x, y)`` and unscaled."""
        self._photos.append((image, x, y))

    def box(
        self,
        box: Box,
        *,
        fill: str | None = None,
        edge: str | None = None,
        width: float = 0,
        alpha: float | None = None,
        dash: Sequence[float] = (),
        gid: str | None = None,
    ) -> None:
        """Draw a rectangle. ``dash`` is in line widths."""
        made = Rectangle(
            (box.x0, box.y0),
            box.width,
            box.height,
            facecolor=fill or "none",
            edgecolor=edge or "none",
            linewidth=width if edge else 0,
            linestyle=(0, tuple(dash)) if dash else "solid",
            joinstyle="miter",
            capstyle="butt",
            alpha=alpha,
        )
        self._add(made, gid)

    def lines(
        self,
        segments: Sequence[Segment],
        *,
        colour: str,
        width: float,
        alpha: float = 1,
        within: Box | None = None,
    ) -> None:
        """Draw straight lines, all alike, cut off at the edges of ``within``."""
        if not segments:
            return
        cap: Literal["projecting", "butt"] = "projecting" if within else "butt"
        made = LineCollection(segments, colors=colour, linewidths=width, alpha=alpha, capstyle=cap)
        if within:
            x0, y0, x1, y1 = within
            outline = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
            made.set_clip_path(Path(outline, closed=True), self._to_figure)
        self._add(made)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        colour: str = INK,
        bold: bool = False,
        across: Literal["left", "center", "right"] = "left",
        halo: str | None = None,
    ) -> None:
        """Write a line of text on the baseline ``y``; ``halo`` is a colour around the letters."""
        made = Text(
            x,
            y,
            text,
            color=colour,
            fontproperties=_font(size, bold),
            horizontalalignment=across,
            verticalalignment="baseline",
            parse_math=False,
        )
        if halo:
            made.set_path_effects([withStroke(linewidth=size / 4, foreground=halo)])
        self._add(made)

    def centred(
        self, x: float, y: float, text: str, size: float, *, colour: str, halo: str | None = None
    ) -> None:
        """Write a number or a word in bold with its middle at ``(x, y)``."""
        down = y + _DIGITS / 2 * size
        self.text(x, down, text, size, colour=colour, bold=True, across="center", halo=halo)

    def chip(
        self, x: float, y: float, text: str, size: float, *, fill: str, ink: str, gid: str
    ) -> None:
        """Write the same on a rounded field of :func:`chip_size`."""
        across, down = chip_size(text, size)
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
        self.centred(x, y, text, size, colour=ink)

    def _add(self, artist: Artist, gid: str | None = None) -> None:
        artist.set(transform=self._to_figure, gid=gid, zorder=len(self.figure.artists))
        self.figure.add_artist(artist)

    def cut(self, width: float, height: float) -> Sheet:
        """Give the sheet its size in px, rounded up, and return it."""
        self.size = Size(math.ceil(width), math.ceil(height))
        self.figure.set_size_inches(_inches(self.size.width), _inches(self.size.height))
        self._to_figure.clear().scale(1, -1).translate(0, self.size.height)
        return self

    def png(self) -> bytes:
        """Write an RGB file: paper, photos and figure, drawn in this order into one buffer."""
        renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call]  # theirs
        pixels = np.asarray(renderer.buffer_rgba())
        pixels[:] = 255  # paper
        for image, x, y in self._photos:
            pixels[y : y + image.height, x : x + image.width, :3] = image
        self.figure.draw(renderer)
        return write(Image.fromarray(pixels).convert("RGB"), "png", None, None)

    def svg(self) -> bytes:
        """Write vectors, with text as outlines. The file embeds its photos and needs no other."""
        points = f'width="{self.size.width}pt" height="{self.size.height}pt"'
        pixels = f'width="{self.size.width}" height="{self.size.height}"'
        drawn = svg_element(self.figure).replace(points, f'{pixels} role="img"', 1)
        paper = f'<title>{escape(self.title)}</title><rect {pixels} fill="{PAPER}"/>'
        under = "".join((paper, *(_embedded(*photo) for photo in self._photos)))
        return drawn.replace(_FIGURE, under + _FIGURE, 1).encode()


def svg_element(figure: Figure) -> str:
    """Return a figure as an ``<svg>``, inside of :func:`drawing`.

    There is no metadata, because its date would change every file, and no document type, because
    some readers would fetch its address.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]  # theirs
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :]


def _inches(px: int) -> float:
    """Return inches that matplotlib, which rounds down, turns into ``px`` again."""
    inches = px / _DPI
    return inches if inches * _DPI >= px else math.nextafter(inches, math.inf)


def _embedded(image: Image.Image, x: int, y: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<image x="{x}" y="{y}" width="{image.width}" height="{image.height}" '
        f'xlink:href="data:image/jpeg;base64,{data}"/>'
    )


def vertical(x: float, within: Box) -> Segment:
    """Return the line at ``x`` from the top of a box to the bottom."""
    return (x, within.y0), (x, within.y1)


def horizontal(y: float, within: Box) -> Segment:
    """Return the line at ``y`` from the left of a box to the right."""
    return (within.x0, y), (within.x1, y)


def chip_size(text: str, size: float) -> tuple[float, float]:
    """Return the width and height of a chip in px."""
    return max(text_width(text, size, True) + 0.7 * size, 1.5 * size), 1.5 * size
