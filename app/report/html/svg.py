"""Charts as SVG inside of the page: they take its colours, light or dark, and its font.

Drawn by matplotlib with colours that stand for others: each is replaced by a variable of the
page's style sheet, which no file of its own could have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.imaging.pictures.engine import drawing, svg_element

WIDTH_PX = 400
"""Of a chart: a little more than a phone is wide, so that its text is neither tiny nor huge."""

TEXT_PX = 12
SMALL_PX = 10.5

INK, QUIET, LINE = "#000001", "#000002", "#000003"
SERIES = ("#000011", "#000012", "#000013", "#000014", "#000015")
"""Far apart for the colour-blind, too, as the style sheet has them."""

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
    """What ``draw`` puts on a figure, as an ``<svg>`` for the page; same drawing, same text.

    Its texts are escaped, by matplotlib and here, so that the page may take it as it is.

    Args:
        name: in the page's ids; no two charts of a page share it.
        label: what the chart shows, for those who do not see it.
        height_px, width_px: its size before the page scales it.
        draw: given the figure, whose layout makes room for its texts.
    """
    with drawing():
        mpl.rcParams.update({"svg.fonttype": "none", "font.size": TEXT_PX})
        figure = Figure((width_px / _DPI, height_px / _DPI), dpi=_DPI, layout="constrained")
        figure.patch.set_visible(False)
        draw(figure)
        element = svg_element(figure)
    return _for_page(element, name, label)


def plain_axes(axes: Axes) -> None:
    """No frame, no marks; the texts that are left in the page's colours."""
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK, labelsize=TEXT_PX)
    axes.xaxis.label.set_color(QUIET)
    axes.yaxis.label.set_color(QUIET)


def legend(figure: Figure, axes: Axes, *, columns: int) -> None:
    """What the marks on these axes are, above all of the figure."""
    handles, labels = axes.get_legend_handles_labels()
    made = figure.legend(
        handles, labels, loc="outside upper center", ncols=columns, columnspacing=1, frameon=False
    )
    for text in made.get_texts():
        text.set_color(INK)


def _for_page(svg: str, name: str, label: str) -> str:
    """The element with ids that are its own and colours that are the page's."""
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # would hold for all of the page
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box, "matplotlib writes one"
    start = f'<svg class="chart" role="img" aria-label="{escape(label)}" {box[0]}>'
    svg = re.sub(r"<svg[^>]*>", lambda _: start, svg, count=1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    return re.sub("|".join(_VARIABLES), lambda found: f"var({_VARIABLES[found[0]]})", svg)
