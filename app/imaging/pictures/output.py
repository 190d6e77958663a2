"""A figure and the photos under it as a file."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from app.core.plan.geometry import Size
from app.imaging.write.render import write

_DPI = 72
"""So that a px of the sheet, a point of text and a unit of the SVG are one and the same."""
_JPEG_QUALITY = 88
_FIGURE = '<g id="figure_1">'
"""What all that matplotlib draws is in."""

PAPER = "#ffffff"


@dataclass(frozen=True, slots=True)
class Photo:
    """An RGB picture, a px of it a px of the sheet, its corner at ``(x, y)``."""

    image: Image.Image
    x: int
    y: int


def new_figure(size: Size) -> Figure:
    """A figure of just this many px, of which nothing is painted but what is put on it."""
    figure = Figure(figsize=(_inches(size.width), _inches(size.height)), dpi=_DPI)
    figure.patch.set_visible(False)
    return figure


def as_png(figure: Figure, size: Size, photos: Sequence[Photo]) -> bytes:
    """An RGB file: paper, photos, figure, from below, all in the one buffer of the renderer."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # theirs
    pixels = np.asarray(renderer.buffer_rgba())
    pixels[:] = 255  # paper
    for photo in photos:
        across, down = photo.image.size
        pixels[photo.y : photo.y + down, photo.x : photo.x + across, :3] = photo.image
    figure.draw(renderer)
    return write(Image.fromarray(pixels).convert("RGB"), "png", None, None)


def as_svg(figure: Figure, size: Size, photos: Sequence[Photo], title: str) -> bytes:
    """The same in vectors, text as outlines; photos are embedded, and nothing is outside of it."""
    points = f'width="{size.width}pt" height="{size.height}pt"'
    pixels = f'width="{size.width}" height="{size.height}"'
    drawn = svg_element(figure).replace(points, f'{pixels} role="img"', 1)
    paper = f'<title>{escape(title)}</title><rect {pixels} fill="{PAPER}"/>'
    under = "".join((paper, *map(_embedded, photos)))
    return drawn.replace(_FIGURE, under + _FIGURE, 1).encode()


def svg_element(figure: Figure) -> str:
    """A figure as an ``<svg>``; used inside of :func:`app.imaging.pictures.engine.drawing`.

    Without metadata, as a date among it would make each file another, and without what is before
    the root: a document type, whose address some readers would fetch.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]  # theirs
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :]


def _inches(px: int) -> float:
    """So many that matplotlib, which rounds down, comes to ``px`` again."""
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
