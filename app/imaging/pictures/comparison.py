"""Draw ``comparison``: the picture with its crops' boundaries, and the crops for the encoder.

The grid crops lie side by side as in the tiling, and the global crop lies before them.
"""

from dataclasses import dataclass
from functools import partial

from PIL import Image

from app.core.plan.canvas import Canvas
from app.core.plan.geometry import Box, Size
from app.core.plan.plan import Crop, CropPlan
from app.imaging.pictures.colours import Style, crop_styles
from app.imaging.pictures.crops import draw_canvas, mark_entries, mark_padding
from app.imaging.pictures.layout import Entry, Page, base_size
from app.imaging.pictures.sheet import INK, PAPER, Segment, Sheet, chip_size, horizontal, vertical
from app.imaging.pictures.view import (
    PromptPatches,
    cut_out,
    drawn_aspect,
    padding_of,
    prompt_patches,
)

Pair = tuple[float, float]

_GAP = 0.11
"""Two tiles are so far apart, in sides of a tile."""
_APART = 0.3
"""Picture, global crop and grid crops are so far apart, in sides of a tile."""
_STACKED_FROM = 2.2
"""Pictures of this aspect or wider are above their crops, and others left of them."""
_FADED = 0.62
"""The paper over a dropped margin has this opacity."""
_NARROWEST_PX = 7
"""Smaller tokens have no grid around them."""
_SMALLEST = 6.0
"""The smallest label has this size."""
_SAMPLE = "#57606a"


def draw_comparison(plan: CropPlan, image: Image.Image | None, side_px: int) -> Sheet:
    """Draw a plan on a sheet."""
    picture, corner, whole = _layout(plan)
    tile = max(1, int(side_px / max(whole)))
    width, height = (tile * length for length in whole)
    page = Page.begin(plan, side_px, width)
    drawn = Size(*(max(1, round(tile * length)) for length in picture))
    size = max(base_size(max(drawn.width, drawn.height)), 0.6 * page.size)
    draw_canvas(page.sheet, plan, image, page.place(plan, drawn), size)
    left, top = (tile * length for length in corner)

    def square(x: float, y: float) -> Tile:
        at = page.x + round(left + x * tile), page.y + round(top + y * tile)
        return Tile(page.sheet, plan, image, *at, tile, page.size)

    square(0, 0).draw_global()
    for crop, style in zip(plan.crops(), crop_styles(plan.grid), strict=True):
        x, y = 1 + _APART + crop.col * (1 + _GAP), crop.row * (1 + _GAP)
        square(x, y).draw_crop(crop, style)
    entries = [*mark_entries(plan, page.size), *tile_entries(plan, page.size)]
    return page.end(width, height, entries)


def _layout(plan: CropPlan) -> tuple[Pair, Pair, Pair]:
    """Make the picture as high or as wide as the crops. All lengths are in sides of a tile.

    Returns:
        The size of the picture, the corner of the global crop's tile from the picture's corner, and
        the size of the drawing. The grid crops are right of the global crop.
    """
    aspect = drawn_aspect(plan)
    wide, high = 1 + _APART + _spread(plan.grid.cols), _spread(plan.grid.rows)
    if aspect < _STACKED_FROM:
        left = aspect * high + _APART
        return (aspect * high, high), (left, 0), (left + wide, high)
    top = wide / aspect + _APART
    return (wide, wide / aspect), (0, top), (wide, top + high)


def _spread(tiles: int) -> float:
    return tiles + (tiles - 1) * _GAP


@dataclass(frozen=True, slots=True)
class Tile:
    """Draw one crop into a square of the sheet, at ``(x, y)`` and with text of ``size``."""

    sheet: Sheet
    plan: CropPlan
    image: Image.Image | None
    x: int
    y: int
    side: int
    size: float

    def draw_crop(self, crop: Crop, style: Style) -> None:
        """Draw a grid crop, framed in its colour."""
        plan = self.plan
        self._draw_pixels(plan.canvas, crop.canvas_box)
        self._draw_tokens(
            prompt_patches(plan.grid.rows, plan.config)[crop.row],
            prompt_patches(plan.grid.cols, plan.config)[crop.col],
        )
        width = max(1.0, min(self.size / 4, self.side / 30))
        frame = self._box(-width / 2, -width / 2, self.side + width / 2, self.side + width / 2)
        self.sheet.box(frame, edge=style.ink, width=1.5 * width)
        self.sheet.box(frame, edge=style.colour, width=width, gid=f"tile-{crop.index}")
        self._draw_label(str(crop.index), style.colour, style.ink)

    def draw_global(self) -> None:
        """Draw the global crop; all its tokens reach the prompt."""
        canvas = self.plan.global_canvas
        self._draw_pixels(canvas, canvas.box)
        (axis,) = prompt_patches(1, self.plan.config)
        self._draw_tokens(axis, axis)
        width = max(1.0, self.size / 8)
        self.sheet.box(self._box(0, 0, self.side, self.side), edge=INK, width=width)
        self._draw_label("global", PAPER, INK)

    def _draw_pixels(self, canvas: Canvas, box: Box) -> None:
        """Draw a part of a canvas, with its padding marked."""
        self.sheet.photo(
            cut_out(self.image, canvas, box, Size(self.side, self.side)), self.x, self.y
        )
        scale = self.side / box.width
        for padding in padding_of(canvas):
            if part := padding.intersect(box):
                x0, y0, x1, y1 = part
                placed = (x0 - box.x0, y0 - box.y0, x1 - box.x0, y1 - box.y0)
                mark_padding(self.sheet, self._box(*(at * scale for at in placed)), self.size)

    def _draw_tokens(self, rows: PromptPatches, cols: PromptPatches) -> None:
        """Fade the margins that are dropped, and draw lines around the tokens in the prompt."""
        patch = self.side / self.plan.config.crop_patches
        all_of_it = self._box(0, 0, self.side, self.side)
        used = self._box(*(at * patch for at in (cols.first, rows.first, cols.last, rows.last)))
        dropped = all_of_it.around(used)
        for box in dropped:
            self.sheet.box(box, fill=PAPER, alpha=_FADED)
        if patch * self.plan.config.pooling >= _NARROWEST_PX:
            down = [vertical(self.x + at * patch, used) for at in cols.cuts]
            across = [horizontal(self.y + at * patch, used) for at in rows.cuts]
            _draw_grid(self.sheet, [*down, *across], self.size)
        if dropped:
            self.sheet.box(used, edge=INK, width=1.0, alpha=0.8)

    def _draw_label(self, text: str, fill: str, ink: str) -> None:
        """Write a label into the corner, if it fits."""
        size = max(_SMALLEST, min(self.size, self.side / 8))
        across, down = chip_size(text, size)
        if max(across, down) + size / 2 > self.side:
            return
        x, y = self.x + across / 2 + size / 4, self.y + down / 2 + size / 4
        self.sheet.chip(x, y, text, size, fill=fill, ink=ink, gid=f"label-{text}")

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """Map px of the tile to px of the sheet."""
        return Box(self.x + x0, self.y + y0, self.x + x1, self.y + y1)


def tile_entries(plan: CropPlan, size: float) -> list[Entry]:
    """Explain the tiles, for the legend."""
    pooling = plan.config.pooling
    entries = [Entry(f"grid: tokens, {pooling} × {pooling} patches", partial(_sample_tokens, size))]
    if plan.grid.crops > 1 and plan.config.margin_patches:
        entries.append(Entry("faded: margin, dropped from the prompt", _sample_faded))
    return entries


def _sample_tokens(size: float, sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_SAMPLE)
    third = box.width / 3
    lines = [vertical(box.x0 + n * third, box) for n in (1, 2)]
    _draw_grid(sheet, [*lines, horizontal((box.y0 + box.y1) / 2, box)], size)


def _sample_faded(sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_SAMPLE)
    middle = (box.x0 + box.x1) / 2
    sheet.box(Box(middle, box.y0, box.x1, box.y1), fill=PAPER, alpha=_FADED)
    sheet.lines([vertical(middle, box)], colour=INK, width=1.0, alpha=0.8)


def _draw_grid(sheet: Sheet, lines: list[Segment], size: float) -> None:
    """Draw light lines with dark sides, which show on any ground."""
    width = max(0.5, size / 36)
    sheet.lines(lines, colour=INK, width=2 * width, alpha=0.35)
    sheet.lines(lines, colour=PAPER, width=width, alpha=0.55)
