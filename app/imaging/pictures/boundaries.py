"""Every grid crop's boundary and number, over the canvas as it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box
from app.core.plan.plan import Crop, CropPlan
from app.imaging.pictures.colours import Style, crop_styles
from app.imaging.pictures.sheet import Sheet, chip_size
from app.imaging.pictures.view import View

_CASED = 1.6
"""Width of a line with its casing, in widths of the line."""
_SMALLEST = 6.0
"""Size of the smallest number; where not even that fits, only some crops have theirs written."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a crop's boundary is drawn, a line of ``width`` along ``box``, and how."""

    crop: Crop
    box: Box
    style: Style
    width: float

    def draw(self, sheet: Sheet) -> None:
        """Put it on, over what is there."""
        draw_line(sheet, self.box, self.style, self.width, gid=f"crop-{self.crop.index}")


def boundaries(plan: CropPlan, view: View, size: float) -> tuple[Boundary, ...]:
    """The boundary of each grid crop, moved inwards so that none lies on another.

    Crops of a row have their top and bottom edges in common where they overlap, those of a column
    their left and right edges. So each is moved as far as its place among those that overlap says.
    """
    config, grid = plan.config, plan.grid
    overlapping = ceil(config.crop_patches / config.window_patches)
    rows, cols = min(overlapping, grid.rows), min(overlapping, grid.cols)
    window = config.window_px * min(view.across, view.down)
    width = min(line_width(size), max(0.8, window / 12))
    step = min(_CASED * width, window / max(rows, cols) / 2)
    styles = crop_styles(grid)
    made = []
    for crop in plan.crops():
        # Its casing is within the crop, too.
        x, y = (_CASED * width / 2 + step * n for n in (crop.row % rows, crop.col % cols))
        box = _inset(view.box(crop.canvas_box), x, y)
        made.append(Boundary(crop, box, styles[crop.index], width))
    return tuple(made)


def _inset(box: Box, x: float, y: float) -> Box:
    """Moved inwards, but never by so much that nothing is left."""
    x, y = min(x, (box.x1 - box.x0) / 2.5), min(y, (box.y1 - box.y0) / 2.5)
    return Box(box.x0 + x, box.y0 + y, box.x1 - x, box.y1 - y)


def line_width(size: float) -> float:
    """Of a boundary beside text of this size."""
    return max(1.6, size / 3.6)


def draw_line(sheet: Sheet, box: Box, style: Style, width: float, gid: str | None = None) -> None:
    """A line in a casing, through which it passes over others as a road does on a map."""
    sheet.box(box, edge=style.casing, width=_CASED * width)
    sheet.box(box, edge=style.colour, width=width, dash=style.dash, gid=gid)


def draw_numbers(sheet: Sheet, plan: CropPlan, view: View, size: float) -> None:
    """Each crop's index in it; where crops lie too close for that, of every n-th."""
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
    """With as much room again, for the boundaries to be seen."""
    wide, high = chip_size(text, size)
    return 2 * wide <= across and 2 * high <= down


def _between_lines(config: CropConfig, needed: float) -> float:
    """Px from the start of a crop to its number: its middle, unless other crops begin or end there.

    Crops begin at every whole number of windows and end at the same part of each, so there are two
    spaces between such lines in turn. The middle of a crop is the middle of one of them, and half a
    window before it is that of the other.

    Args:
        config: of the plan.
        needed: by the number, in windows.
    """
    middle = config.crop_size_px / 2
    crops, end = divmod(config.crop_size_px / config.window_px, 1)
    space = 1 - end if crops % 2 else end
    return middle if space > min(needed, 0.5) else middle - config.window_px / 2
