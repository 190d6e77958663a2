"""Draw ``crops``: the picture on its canvas, with the boundary and number of every crop.

The marks of padding and overlaps show on any ground.
"""

from functools import partial
from math import ceil, floor

from PIL import Image

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box
from app.core.plan.plan import CropPlan
from app.imaging.pictures.colours import Style, crop_styles
from app.imaging.pictures.layout import Entry, Page, counted
from app.imaging.pictures.sheet import Segment, Sheet, chip_size
from app.imaging.pictures.view import View, Zone, coverage_zones, cut_out, drawn_size, padding_of

_BLACK, _WHITE, _GREY = "#000000", "#ffffff", "#6e7781"
_PLAIN_SAMPLE = "#c3c9d0"
_CASED = 1.6
"""A line and its casing take this width, in widths of the line."""
_SMALLEST = 6.0
"""The smallest number has this size. If it does not fit, only some crops have numbers."""


def draw_crops(plan: CropPlan, image: Image.Image | None, side_px: int) -> Sheet:
    """Draw a plan on a sheet."""
    drawn = drawn_size(plan, side_px)
    page = Page.begin(plan, side_px, drawn.width)
    draw_canvas(page.sheet, plan, image, page.place(plan, drawn), page.size)
    side = plan.config.crop_size_px
    unseen = Entry(f"not outlined: the global crop, all of it in {side} × {side} px")
    return page.end(drawn.width, drawn.height, [*mark_entries(plan, page.size), unseen])


def draw_canvas(
    sheet: Sheet, plan: CropPlan, image: Image.Image | None, view: View, size: float
) -> None:
    """Draw the canvas, its padding and overlaps, and the boundary and number of every crop."""
    canvas, box = plan.canvas, view.box(plan.canvas.box)
    sheet.photo(cut_out(image, canvas, canvas.box, view.drawn), round(box.x0), round(box.y0))
    draw_padding(sheet, plan, view, size)
    for zone in overlaps(plan):
        mark_overlap(sheet, view.box(zone.box), zone.count, size)
    draw_boundaries(sheet, plan, view, size)
    draw_numbers(sheet, plan, view, size)


def draw_padding(sheet: Sheet, plan: CropPlan, view: View, size: float, shows: float = 1) -> None:
    """Draw the padding of the canvas; ``shows`` is the opacity of its black."""
    for number, padding in enumerate(padding_of(plan.canvas)):
        mark_padding(sheet, view.box(padding), size, gid=f"padding-{number}", shows=shows)


def mark_padding(
    sheet: Sheet, box: Box, size: float, *, gid: str | None = None, shows: float = 1
) -> None:
    """Draw padding black, as the model gets it, with broad grey stripes.

    Black alone could be a dark part of the picture. ``shows`` is the opacity of the black.
    """
    sheet.box(box, fill=_BLACK, alpha=shows, gid=gid)
    lines = diagonals(box, 0.9 * size, rising=False)
    sheet.lines(lines, colour=_GREY, width=0.22 * size, within=box)


def padding_entry(plan: CropPlan, size: float) -> list[Entry]:
    """Explain the mark in the legend of a plan with padding."""
    if not padding_of(plan.canvas):
        return []
    return [Entry("padding, black to the model", lambda sheet, box: mark_padding(sheet, box, size))]


def overlaps(plan: CropPlan) -> list[Zone]:
    """Return the zones in more than one crop, without their padding."""
    clipped = (
        (zone.box.intersect(plan.canvas.content), zone.count)
        for zone in coverage_zones(plan)
        if zone.count > 1
    )
    return [Zone(box, count) for box, count in clipped if box is not None]


def mark_entries(plan: CropPlan, size: float) -> list[Entry]:
    """Explain the marks of a plan's picture, for its legend."""
    entries = [Entry("grid crops, by index", partial(_sample_boundary, plan, size))]
    counts = sorted({zone.count for zone in overlaps(plan)})
    for alike in ([n for n in counts if n == 2], [n for n in counts if n > 2]):
        if alike:
            mark = partial(_sample_overlap, alike[0], size)
            entries.append(Entry(f"in {counted(alike[0], alike[-1])} crops", mark))
    return entries + padding_entry(plan, size)


def _sample_boundary(plan: CropPlan, size: float, sheet: Sheet, box: Box) -> None:
    width = line_width(size)
    inner = Box(box.x0 + width, box.y0 + width, box.x1 - width, box.y1 - width)
    draw_line(sheet, inner, crop_styles(plan.grid)[0], width)


def _sample_overlap(count: int, size: float, sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_PLAIN_SAMPLE)
    mark_overlap(sheet, box, count, size)


def mark_overlap(sheet: Sheet, box: Box, count: int, size: float) -> None:
    """Hatch an overlap of two crops one way, and an overlap of more crops both ways.

    Each line is black beside white: one of the two shows on any ground.
    """
    width, spacing = max(0.6, size / 20), 0.85 * size
    for rising in (True, False)[: min(2, count - 1)]:
        for colour, shift in ((_BLACK, 0.0), (_WHITE, width)):
            lines = diagonals(box, spacing, rising=rising, shift=shift)
            sheet.lines(lines, colour=colour, width=width, alpha=0.5)


def diagonals(box: Box, spacing: float, *, rising: bool, shift: float = 0) -> list[Segment]:
    """Return lines at 45° within a box. The lines of boxes side by side meet.

    Args:
        box: in px of the sheet.
        spacing: px between two lines, measured across the sheet.
        rising: to the right; else falling.
        shift: px to the right for all lines.
    """
    # On a line, x + y or x - y is a multiple of the spacing, but for the shift.
    sign, low, high = (1, box.y0, box.y1) if rising else (-1, -box.y1, -box.y0)
    first, last = ceil((box.x0 + low - shift) / spacing), floor((box.x1 + high - shift) / spacing)
    segments: list[Segment] = []
    for number in range(first, last + 1):
        at = number * spacing + shift
        x0, x1 = max(box.x0, at - high), min(box.x1, at - low)
        if x0 < x1:
            segments.append(((x0, sign * (at - x0)), (x1, sign * (at - x1))))
    return segments


def draw_boundaries(sheet: Sheet, plan: CropPlan, view: View, size: float) -> None:
    """Draw the boundary of each grid crop, moved inwards so that none lies on another.

    Crops of a row share their top and bottom edges, and crops of a column their left and right
    edges. So each boundary moves by its crop's number among the crops that overlap.
    """
    config, grid = plan.config, plan.grid
    overlapping = ceil(config.crop_patches / config.window_patches)
    rows, cols = min(overlapping, grid.rows), min(overlapping, grid.cols)
    window = config.window_px * min(view.across, view.down)
    width = min(line_width(size), max(0.8, window / 12))
    step = min(_CASED * width, window / max(rows, cols) / 2)
    for crop, style in zip(plan.crops(), crop_styles(grid), strict=True):
        # The casing stays within the crop, too.
        x, y = (_CASED * width / 2 + step * n for n in (crop.row % rows, crop.col % cols))
        box = _inset(view.box(crop.canvas_box), x, y)
        draw_line(sheet, box, style, width, gid=f"crop-{crop.index}")


def _inset(box: Box, x: float, y: float) -> Box:
    """Move a box's edges inwards, by at most two fifths of its sides."""
    x, y = min(x, box.width / 2.5), min(y, box.height / 2.5)
    return Box(box.x0 + x, box.y0 + y, box.x1 - x, box.y1 - y)


def line_width(size: float) -> float:
    """Return the width of a boundary beside text of this size."""
    return max(1.6, size / 3.6)


def draw_line(sheet: Sheet, box: Box, style: Style, width: float, gid: str | None = None) -> None:
    """Draw a line in a casing, as a road on a map."""
    sheet.box(box, edge=style.ink, width=_CASED * width)
    sheet.box(box, edge=style.colour, width=width, dash=style.dash, gid=gid)


def draw_numbers(sheet: Sheet, plan: CropPlan, view: View, size: float) -> None:
    """Write each crop's index in the crop, or every n-th index if the crops are small."""
    config, styles, last = plan.config, crop_styles(plan.grid), str(plan.grid.crops - 1)
    across, down = config.window_px * view.across, config.window_px * view.down
    number_size = 1.1 * size
    while number_size > _SMALLEST and not _fits(last, number_size, across, down):
        number_size = max(_SMALLEST, number_size - 0.5)
    wide, high = chip_size(last, number_size)
    every_col, every_row = ceil(1.1 * wide / across), ceil(1.1 * high / down)
    x, y = (_between_lines(config, room / each) for room, each in ((wide, across), (high, down)))
    for crop in plan.crops():
        if crop.row % every_row or crop.col % every_col:
            continue
        box, style = crop.canvas_box, styles[crop.index]
        sheet.chip(
            view.x0 + (box.x0 + x) * view.across,
            view.y0 + (box.y0 + y) * view.down,
            str(crop.index),
            number_size,
            fill=style.colour,
            ink=style.ink,
            gid=f"number-{crop.index}",
        )


def _fits(text: str, size: float, across: float, down: float) -> bool:
    """Return True if a number leaves as much room again for the boundaries."""
    wide, high = chip_size(text, size)
    return 2 * wide <= across and 2 * high <= down


def _between_lines(config: CropConfig, needed: float) -> float:
    """Return the px from the start of a crop to its number, clear of other crops' boundaries.

    Crops begin at every whole window and end at the same part of each window, so the spaces between
    their boundaries have two widths in turn. The middle of a crop is in a space of one width, and
    half a window before the middle is in a space of the other.

    Args:
        config: the plan's.
        needed: the room for the number, in windows.
    """
    middle = config.crop_size_px / 2
    crops, end = divmod(config.crop_size_px / config.window_px, 1)
    space = 1 - end if crops % 2 else end
    return middle if space > min(needed, 0.5) else middle - config.window_px / 2
