"""Draw ``statistics``: the figures of overlap (docs/method/overlap.md) as bars and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image

from app.core.plan.geometry import Box
from app.core.plan.overlap import Overlap
from app.core.plan.plan import CropPlan
from app.imaging.pictures.layout import Entry, Page, wrapped, write_lines
from app.imaging.pictures.sheet import INK, Sheet, text_width

_BAR = 1.9
"""A bar and the space above it take this height, in sizes of the text."""
_SPACE = 0.25
"""The space above a bar takes this height, in sizes of the text."""
_RULE = "#d5dae0"


@dataclass(frozen=True, slots=True)
class Series:
    """Describe the overlap over some patches, with its name, meaning and colour."""

    name: str
    meaning: str
    overlap: Overlap
    colour: str


def draw_statistics(plan: CropPlan, image: Image.Image | None, side_px: int) -> Sheet:
    """Draw a plan's overlap on a sheet ``side_px`` wide, without the picture."""
    page = Page.begin(plan, side_px, side_px)
    series = series_of(plan)
    y = _draw_bars(page, series, page.y + 0.5 * page.size)
    y = _draw_table(page, plan, series, y + page.size)
    entries = [Entry(each.meaning, partial(Sheet.box, fill=each.colour)) for each in series]
    return page.end(page.width, y - page.y, entries)


def series_of(plan: CropPlan) -> tuple[Series, ...]:
    """Return the overlap of the canvas, and of its content if the two differ."""
    canvas, content = plan.overlap(), plan.content_overlap()
    if canvas == content:
        same = "all patches of the canvas: none of them is all padding"
        return (Series("canvas", same, canvas, "#003c86"),)
    return (
        Series("canvas", "all patches of the canvas", canvas, "#003c86"),
        Series("content", "content: those that are not all padding", content, "#009ffa"),
    )


def _draw_bars(page: Page, series: Sequence[Series], y: float) -> float:
    """Draw counts of patches, a bar and a value for each series, and return the y below them."""
    size = page.size
    most = max(each.overlap.total_patches for each in series)
    room = page.width - text_width(f"{most:,}", size, True) - 0.6 * size
    for title, meaning, values in (
        ("Total patches", "counted once for each crop they are in",
            [each.overlap.total_patches for each in series]),
        ("Distinct patches", "counted once",
            [each.overlap.distinct_patches for each in series]),
        ("Overlapped patches", "in more than one crop",
            [each.overlap.overlapped_patches for each in series]),
    ):  # fmt: skip
        y = _draw_name(page, title, meaning, y, page.width)
        for each, value in zip(series, values, strict=True):
            bar = Box(page.x, y + _SPACE * size, page.x + room * value / most, y + _BAR * size)
            page.sheet.box(bar, fill=each.colour, gid=f"{title.split()[0].lower()}-{each.name}")
            baseline = y + (_BAR + _SPACE + 0.73) / 2 * size
            page.sheet.text(bar.x1 + 0.5 * size, baseline, f"{value:,}", size, bold=True)
            y += _BAR * size
        y += 0.8 * size
    return y


def _draw_table(page: Page, plan: CropPlan, series: Sequence[Series], y: float) -> float:
    """Draw the ratios, a column for each series, and return the y below them."""
    size, sheet = page.size, page.sheet
    column = text_width("content", size, True) + 2 * size
    rights = [page.x + page.width - column * at for at in reversed(range(len(series)))]
    for each, right in zip(series, rights, strict=True):
        sheet.text(right, y + size, each.name, size, bold=True, across="right")
    y += 1.6 * size
    for name, meaning, values in _rows(plan, series):
        sheet.lines([((page.x, y), (page.x + page.width, y))], colour=_RULE, width=1)
        top = y + 0.45 * size
        y = _draw_name(page, name, meaning, top, page.width - column * len(series))
        for value, right in zip(values, rights, strict=True):
            sheet.text(right, top + 1.09 * size, value, size, bold=True, across="right")
        y += 0.45 * size
    return y


def _rows(plan: CropPlan, series: Sequence[Series]) -> list[tuple[str, str, list[str]]]:
    of = [each.overlap for each in series]
    blank = [""] * (len(series) - 1)
    return [
        ("Overlap ratio", "overlapped / distinct", [f"{each.overlap_ratio:.1%}" for each in of]),
        (
            "Redundancy ratio = average overlap count",
            "total / distinct: crops a patch is in",
            [f"{each.redundancy_ratio:.3f}" for each in of],
        ),
        (
            "Average overlapped count",
            "crops that an overlapped patch is in",
            [f"{each.average_overlapped_count:.3f}" for each in of],
        ),
        ("Maximum overlap count", "", [str(each.max_overlap_count) for each in of]),
        (
            "Encoder redundancy",
            "patches that the encoder runs, global crop included, for each of content",
            [*blank, f"{plan.encoder_redundancy():.3f}"],
        ),
    ]


def _draw_name(page: Page, name: str, meaning: str, y: float, width: float) -> float:
    """Draw a name with its meaning beside or below it, and return the y below both."""
    sheet, size = page.sheet, page.size
    title = wrapped(name.split(" "), size, width, " ", bold=True)
    bottom = write_lines(sheet, page.x, y, title, size, colour=INK, bold=True)
    if not meaning:
        return bottom
    left = max(text_width(line, size, True) for line in title) + 0.8 * size
    if left + text_width(meaning, size) <= width:
        write_lines(sheet, page.x + left, y, [meaning], size)
        return bottom
    return write_lines(sheet, page.x, bottom, wrapped(meaning.split(" "), size, width, " "), size)
