"""Draw shapes and text on a sheet, in px with y down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
from PIL import Image

from app.core.plan.geometry import Box, Size
from app.imaging.pictures.engine import Photo, as_png, as_svg, font, new_figure, text_width

INK = "#1b1f24"
QUIET = "#57606a"

ASCENT, DESCENT = 0.76, 0.24
"""The font takes so much above and below the baseline, in sizes of the text."""
_DIGITS = 0.73
"""Digits are so high, in sizes of the text."""

Across = Literal["left", "center", "right"]
Segment = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Written:
    """Record a line of text and its box."""

    text: str
    box: Box


class Sheet:
    """Collect shapes and texts in the order of drawing, inside of ``engine.drawing()``.

    ``texts`` are all lines of text on the sheet. :meth:`cut` decides ``size``.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.texts: list[Written] = []
        self.size = Size(1, 1)
        self._artists: list[Artist] = []
        self._photos: list[Photo] = []
        self._to_figure = Affine2D()

    def photo(self, image: Image.Image, x: int, y: int) -> None:
        """Put an RGB picture under all else: see :class:`Photo`."""
        self._photos.append(Photo(image, x, y))

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
            made.set_clip_path(_outline(within), self._to_figure)
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
        across: Across = "left",
        halo: str | None = None,
    ) -> None:
        """Write a line of text on the baseline ``y``; ``halo`` is a colour around the letters."""
        made = Text(
            x,
            y,
            text,
            color=colour,
            fontproperties=font(size, bold),
            horizontalalignment=across,
            verticalalignment="baseline",
            parse_math=False,
        )
        if halo:
            made.set_path_effects([withStroke(linewidth=size / 4, foreground=halo)])
        self._add(made)
        width = text_width(text, size, bold)
        left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[across] * width
        box = Box(left, y - ASCENT * size, left + width, y + DESCENT * size)
        self.texts.append(Written(text, box))

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

    def cut(self, width: float, height: float) -> Sheet:
        """Give the sheet its size in px, rounded up, and return it."""
        self.size = Size(math.ceil(width), math.ceil(height))
        return self

    def figure(self) -> Figure:
        """Make a figure of all but the photos, once: a shape belongs to one figure."""
        self._to_figure.clear().scale(1, -1).translate(0, self.size.height)
        figure = new_figure(self.size)
        for order, artist in enumerate(self._artists):
            artist.set_zorder(order)
            figure.add_artist(artist)
        return figure

    def png(self) -> bytes:
        """Write the sheet as a PNG, once."""
        return as_png(self.figure(), self._photos)

    def svg(self) -> bytes:
        """Write the sheet as an SVG, once."""
        return as_svg(self.figure(), self.size, self._photos, self.title)

    def _add(self, artist: Artist, gid: str | None = None) -> None:
        artist.set_transform(self._to_figure)
        if gid is not None:
            artist.set_gid(gid)
        self._artists.append(artist)


def vertical(x: float, within: Box) -> Segment:
    """Return the line at ``x`` from the top of a box to the bottom."""
    return (x, within.y0), (x, within.y1)


def horizontal(y: float, within: Box) -> Segment:
    """Return the line at ``y`` from the left of a box to the right."""
    return (within.x0, y), (within.x1, y)


def _outline(box: Box) -> Path:
    corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
    return Path([*corners, corners[0]], closed=True)


def chip_size(text: str, size: float) -> tuple[float, float]:
    """Return the width and height of a chip in px."""
    return max(text_width(text, size, True) + 0.7 * size, 1.5 * size), 1.5 * size
