"""Turn matplotlib figures into SVG in the colours and the font of the page.

Each placeholder colour of a drawing is replaced by a variable of the page's style sheet, light or
dark. A separate image file could not use those variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.imaging.pictures.sheet import drawing, svg_element

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
    width_px: float = WIDTH_PX,
) -> str:
    """Draw a figure as an ``<svg>`` for the page; the same drawing gives the same text.

    Matplotlib and this function escape all texts, so the page may insert the element unescaped.

    Args:
        name: a prefix of ids, unique in the page.
        label: the alternative text.
        height_px, width_px: the size before the page scales the chart.
        draw: draws on the figure, whose layout makes room for its texts.
    """
    with drawing():
        mpl.rcParams.update({"svg.fonttype": "none", "font.size": TEXT_PX})
        figure = Figure((width_px / _DPI, height_px / _DPI), dpi=_DPI, layout="constrained")
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
