"""Draw the four methods in one chart: the cost of each setting against its retained pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from app.core.control.methods import Method
from app.report.figures.averages import Averages
from app.report.figures.cost_changes import SettingRow
from app.report.html.svg import INK, LINE, SERIES, SMALL_PX, chart, legend, plain_axes

_MARKERS: dict[Method, str] = {
    "max_crops": "o",
    "resize": "s",
    "overlap_margins": "^",
    "crop_size_px": "D",
}

NAMES: dict[Method, str] = {
    "max_crops": "max_crops",
    "resize": "limit on the longer side",
    "overlap_margins": "overlap margins",
    "crop_size_px": "crop side",
}

_APART = 0.055
"""Keep labels this far apart, as a part of the axes; a closer label is left out."""


def methods_chart(settings: Sequence[SettingRow], now: Averages) -> str:
    """Draw the retained pixels of every setting by prompt tokens and by encoder work."""

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharey=True)
        _panel(upper, settings, lambda mean: mean.prompt_tokens / now.prompt_tokens)
        upper.set_xlabel("prompt tokens, of what they are now")
        _panel(lower, settings, lambda mean: mean.gflop / now.gflop)
        lower.set_xlabel("the encoder's work, of what it is now")
        legend(figure, upper, columns=2)

    return chart("methods", "Cost of every setting against the pixels that it retains", 580, draw)


def _panel(axes: Axes, settings: Sequence[SettingRow], cost: Callable[[Averages], float]) -> None:
    plain_axes(axes)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylabel("pixels retained")
    for method, colour in zip(get_args(Method), SERIES, strict=False):
        rows = [row for row in settings if row.method == method]
        axes.plot(
            [cost(row.averages) for row in rows],
            [row.averages.kept_ratio for row in rows],
            color=colour,
            marker=_MARKERS[method],
            markersize=5,
            linewidth=1,
            label=NAMES[method],
        )
    current = next(row for row in settings if row.is_current)
    place = (cost(current.averages), current.averages.kept_ratio)
    axes.plot(*place, "o", markersize=13, markerfacecolor="none", markeredgecolor=INK, label="now")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.margins(0.07)
    _label(axes, [row for row in settings if row.method in ("max_crops", "resize")], cost)


def _label(axes: Axes, rows: Sequence[SettingRow], cost: Callable[[Averages], float]) -> None:
    """Label the settings in order while there is room."""
    taken: list[tuple[float, float]] = []
    to_axes = axes.transData + axes.transAxes.inverted()
    axes.autoscale_view()
    for row in rows:
        x, y = cost(row.averages), row.averages.kept_ratio
        at = to_axes.transform((x, y))
        if row.is_current or any(
            abs(at[0] - a) < 2 * _APART and abs(at[1] - b) < _APART for a, b in taken
        ):
            continue
        taken.append((at[0], at[1]))
        left = row.method == "max_crops"
        axes.annotate(
            row.setting,
            (x, y),
            (-5, 3) if left else (5, -4),
            textcoords="offset points",
            ha="right" if left else "left",
            va="bottom" if left else "top",
            size=SMALL_PX,
            color=INK,
        )
