"""Hold matplotlib for one drawing at a time, and write its figures as PNG and SVG.

Import this module only to draw: matplotlib takes 0.3 s to import.
"""

from __future__ import annotations

import base64
import io
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from app.core.plan.geometry import Size
from app.imaging.write.render import write

PAPER = "#ffffff"

_DRAWING = threading.Lock()
"""matplotlib is not thread-safe, by its own documentation, and its settings are global."""
_DPI = 72
"""With 72, a px of the sheet, a point of text and a unit of the SVG are the same."""
_JPEG_QUALITY = 88
_FIGURE = '<g id="figure_1">'
"""matplotlib puts the whole drawing into this group."""


@contextmanager
def drawing() -> Iterator[None]:
    """Hold matplotlib, with the settings it ships with instead of those in a ``matplotlibrc``."""
    with _DRAWING, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "crop-planner"  # else ids are random
        yield


@cache
def _font_file(bold: bool) -> Path:
    return Path(mpl.get_data_path(), "fonts/ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@lru_cache(maxsize=64)
def font(size: float, bold: bool) -> FontProperties:
    """Return the font that matplotlib ships, so that the machine's fonts change nothing."""
    return FontProperties(size=size, fname=_font_file(bold))


@lru_cache(maxsize=1024)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Measure the width of a line of text in px, inside of :func:`drawing`."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, font(size, bold), ismath=False)
    return float(width)


@dataclass(frozen=True, slots=True)
class Photo:
    """Place an RGB picture with its corner at ``(x, y)``, each px of it on a px of the sheet."""

    image: Image.Image
    x: int
    y: int


def new_figure(size: Size) -> Figure:
    """Make a transparent figure of exactly this size in px."""
    figure = Figure(figsize=(_inches(size.width), _inches(size.height)), dpi=_DPI)
    figure.patch.set_visible(False)
    return figure


def as_png(figure: Figure, photos: Sequence[Photo]) -> bytes:
    """Write an RGB file: paper, photos and figure, drawn in this order into one buffer."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # theirs
    pixels = np.asarray(renderer.buffer_rgba())
    pixels[:] = 255  # paper
    for photo in photos:
        across, down = photo.image.size
        pixels[photo.y : photo.y + down, photo.x : photo.x + across, :3] = photo.image
    figure.draw(renderer)
    return write(Image.fromarray(pixels).convert("RGB"), "png", None, None)


def as_svg(figure: Figure, size: Size, photos: Sequence[Photo], title: str) -> bytes:
    """Write vectors, with text as outlines. The file embeds its photos and needs no other file."""
    points = f'width="{size.width}pt" height="{size.height}pt"'
    pixels = f'width="{size.width}" height="{size.height}"'
    drawn = svg_element(figure).replace(points, f'{pixels} role="img"', 1)
    paper = f'<title>{escape(title)}</title><rect {pixels} fill="{PAPER}"/>'
    under = "".join((paper, *map(_embedded, photos)))
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


def _embedded(photo: Photo) -> str:
    buffer = io.BytesIO()
    photo.image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<image x="{photo.x}" y="{photo.y}" width="{photo.image.width}" '
        f'height="{photo.image.height}" xlink:href="data:image/jpeg;base64,{data}"/>'
    )
