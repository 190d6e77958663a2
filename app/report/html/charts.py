"""Draw the charts of a set: counts, tilings, overlap, methods and measured times."""

from collections.abc import Callable, Sequence
from typing import get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from app.core.control.methods import Method
from app.core.plan.geometry import Grid
from app.report.figures.averages import Averages
from app.report.figures.cost_changes import SettingRow
from app.report.figures.overlap_ranges import Comparison, Range
from app.report.figures.set_statistics import CountRow, TilingRow
from app.report.html.elements import INK, LINE, SERIES, SMALL_PX, TEXT_PX, chart, legend, plain_axes
from app.report.timing.components import MeasuredCount
from app.report.words import SHAPES, count, ms, percent

_ROW_PX = 27
_AXIS_PX = 44
"""Reserve this height below all bars."""

MOST_CELLS = 16
"""Limit the map of tilings on either side; a larger map is unreadable on a phone."""

_PARTS = ("decode", "preprocess", "vit", "connector")
"""List the disjoint parts of a pass: preprocessing includes the transfer."""

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


def counts_chart(counts: Sequence[CountRow]) -> str:
    """Draw the images by number of crops; an unused number gets an empty row."""
    images = {row.crops: row for row in counts}
    crops = range(counts[0].crops, counts[-1].crops + 1)
    shown = [images.get(number) for number in crops]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        plain_axes(axes)
        bars = axes.barh(
            range(len(shown)),
            [row.images if row else 0 for row in shown],
            height=0.72,
            color=[SERIES[0] if row else LINE for row in shown],
        )
        labels = [f"{count(row.images)}  ({percent(row.share)})" if row else "0" for row in shown]
        axes.bar_label(bars, labels, padding=4, color=INK, fontsize=TEXT_PX)
        axes.set_yticks(range(len(shown)), [f"{n} grid, {n + 1} in all" for n in crops])
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.margins(x=0.32, y=0.01)
        axes.set_xlim(left=0)

    return chart(
        "counts",
        "Images by number of crops: grid crops, and in all with the global crop",
        12 + _ROW_PX * len(shown),
        draw,
    )


def tilings_chart(tilings: Sequence[TilingRow]) -> str:
    """Draw each allowed tiling as a cell, darker for more images."""
    shown = [row for row in tilings if max(row.grid.rows, row.grid.cols) <= MOST_CELLS]
    most = max(row.share for row in shown) or 1
    rows, cols = max(row.grid.rows for row in shown), max(row.grid.cols for row in shown)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        plain_axes(axes)
        for row in shown:
            _cell(axes, row.grid, row.share, most)
        axes.set_xlim(0.45, cols + 0.55)
        axes.set_ylim(rows + 0.55, 0.45)
        axes.set_aspect("equal")
        axes.set_xticks(range(1, cols + 1))
        axes.set_yticks(range(1, rows + 1))
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("columns")
        axes.set_ylabel("rows")

    return chart(
        "tilings", "Tilings that are allowed, and the share of images that get them", 400, draw
    )


def _cell(axes: Axes, grid: Grid, share: float, most: float) -> None:
    corner = (grid.cols - 0.46, grid.rows - 0.46)
    axes.add_patch(Rectangle(corner, 0.92, 0.92, facecolor="none", edgecolor=LINE, linewidth=1))
    if share:
        # By the root, as the eye sees areas; and pale enough that the number on it is read.
        strength = 0.12 + 0.43 * (share / most) ** 0.5
        axes.add_patch(Rectangle(corner, 0.92, 0.92, facecolor=SERIES[0], alpha=strength))
        text = percent(share, 0)
        axes.text(grid.cols, grid.rows, text, ha="center", va="center", size=SMALL_PX, color=INK)


def overlap_chart(compared: Sequence[Comparison]) -> str:
    """Draw published ranges as wide bars, and on them all tilings and the images."""
    ratios = [one for one in compared if one.claim.figure == "overlap_ratio"]
    factors = [one for one in compared if one.claim.figure == "redundancy_ratio"]

    def draw(figure: Figure) -> None:
        heights = [len(ratios), len(factors)]
        upper, lower = figure.subplots(2, 1, gridspec_kw={"height_ratios": heights})
        _ranges(upper, ratios, 100)
        upper.set_xlabel("patches in more than one crop, %")
        upper.set_xlim(left=-1)
        _ranges(lower, factors, 1)
        lower.set_xlabel("crops that a patch is in, on average")
        legend(figure, upper, columns=3)

    return chart(
        "overlap",
        "Published ranges of overlap beside those found here",
        110 + 58 * len(compared),
        draw,
    )


def _ranges(axes: Axes, compared: Sequence[Comparison], scale: float) -> None:
    plain_axes(axes)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for y, one in enumerate(compared):
        _range(axes, y, one.claim.published, scale, 0.8, LINE, "published" if y == 0 else "")
        _range(axes, y - 0.17, one.allowed, scale, 0.22, SERIES[2], "all tilings" if y == 0 else "")
        _range(axes, y + 0.17, one.seen, scale, 0.22, SERIES[0], "images here" if y == 0 else "")
    axes.set_yticks(range(len(compared)), [SHAPES[one.claim.shape] for one in compared])
    axes.set_ylim(len(compared) - 0.4, -0.6)


def _range(
    axes: Axes, y: float, found: Range | None, scale: float, height: float, colour: str, label: str
) -> None:
    """Draw a bar between two ends, always wide enough to see."""
    low, high = found or (float("nan"), float("nan"))
    axes.barh(
        y,
        (high - low) * scale,
        height,
        low * scale,
        color=colour,
        edgecolor=colour,
        linewidth=2.5,  # the only visible part of a single value
        label=label or None,
    )


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


def measured_chart(measured: Sequence[MeasuredCount]) -> str:
    """Draw the medians of the components one after the other, by total crops."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        plain_axes(axes)
        ends = [0.0] * len(measured)
        for part, colour in zip(_PARTS, SERIES, strict=False):
            times = [row.median_ms.get(part, 0.0) for row in measured]
            if any(times):
                axes.barh(range(len(measured)), times, 0.72, ends, color=colour, label=part)
            ends = [end + time for end, time in zip(ends, times, strict=True)]
        for y, end in enumerate(ends):
            axes.annotate(
                ms(end), (end, y), (4, 0), textcoords="offset points", va="center", color=INK
            )
        axes.set_yticks(
            range(len(measured)), [f"{row.total_crops} crops in all" for row in measured]
        )
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.margins(x=0.25)
        axes.set_xlim(left=0)
        legend(figure, axes, columns=len(_PARTS))

    return chart(
        "measured",
        "Median time of each component, by number of crops in all",
        _AXIS_PX + _ROW_PX * len(measured),
        draw,
    )
