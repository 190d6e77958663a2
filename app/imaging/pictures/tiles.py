"""One crop as the encoder is given it: its px, its tokens, and what of it is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PIL import Image

from app.core.plan.canvas import Canvas
from app.core.plan.geometry import Box, Size
from app.core.plan.plan import Crop, CropPlan
from app.imaging.pictures.colours import Style
from app.imaging.pictures.ground import cut_out
from app.imaging.pictures.legend import Entry
from app.imaging.pictures.marks import mark_padding
from app.imaging.pictures.output import PAPER
from app.imaging.pictures.sheet import INK, Segment, Sheet, chip_size
from app.imaging.pictures.zones import KeptPatches, around, kept_patches, padding_of

_FADED = 0.62
"""Of a dropped margin, how much is paper."""
_NARROWEST_PX = 7
"""A token; where they are smaller, their grid is left out."""
_SMALLEST = 6.0
"""Size of the smallest label."""
_SAMPLE = "#57606a"


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of the sheet with its corner at ``(x, y)``, for one crop; text is of ``size``."""

    sheet: Sheet
    plan: CropPlan
    image: Image.Image | None
    x: int
    y: int
    side: int
    size: float

    def draw_crop(self, crop: Crop, style: Style) -> None:
        """A grid crop, framed in its colour."""
        plan = self.plan
        self._draw_pixels(plan.canvas, crop.canvas_box)
        self._draw_tokens(
            kept_patches(plan.grid.rows, plan.config)[crop.row],
            kept_patches(plan.grid.cols, plan.config)[crop.col],
        )
        width = max(1.0, min(self.size / 4, self.side / 30))
        frame = self._box(-width / 2, -width / 2, self.side + width / 2, self.side + width / 2)
        self.sheet.box(frame, edge=style.casing, width=1.5 * width)
        self.sheet.box(frame, edge=style.colour, width=width, gid=f"tile-{crop.index}")
        self._draw_label(str(crop.index), style.colour, style.ink)

    def draw_global(self) -> None:
        """The global crop, all of whose tokens are kept."""
        canvas = self.plan.global_canvas
        self._draw_pixels(canvas, canvas.box)
        (axis,) = kept_patches(1, self.plan.config)
        self._draw_tokens(axis, axis)
        width = max(1.0, self.size / 8)
        self.sheet.box(self._box(0, 0, self.side, self.side), edge=INK, width=width)
        self._draw_label("global", PAPER, INK)

    def _draw_pixels(self, canvas: Canvas, box: Box) -> None:
        """What of a canvas is in a box, padding marked."""
        self.sheet.photo(
            cut_out(self.image, canvas, box, Size(self.side, self.side)), self.x, self.y
        )
        scale = self.side / (box.x1 - box.x0)
        for padding in padding_of(canvas):
            if part := padding.intersect(box):
                x0, y0, x1, y1 = part.as_tuple()
                placed = ((x0 - box.x0), (y0 - box.y0), (x1 - box.x0), (y1 - box.y0))
                mark_padding(self.sheet, self._box(*(at * scale for at in placed)), self.size)

    def _draw_tokens(self, rows: KeptPatches, cols: KeptPatches) -> None:
        """Fade what is dropped; lines between the tokens of what is kept, and one around them."""
        patch = self.side / self.plan.config.crop_patches
        all_of_it = self._box(0, 0, self.side, self.side)
        kept = self._box(*(at * patch for at in (cols.first, rows.first, cols.last, rows.last)))
        dropped = around(kept, all_of_it)
        for box in dropped:
            self.sheet.box(box, fill=PAPER, alpha=_FADED)
        if patch * self.plan.config.pooling >= _NARROWEST_PX:
            down = [_vertical(self.x + at * patch, kept) for at in cols.cuts]
            across = [_horizontal(self.y + at * patch, kept) for at in rows.cuts]
            _draw_grid(self.sheet, [*down, *across], self.size)
        if dropped:
            self.sheet.box(kept, edge=INK, width=1.0, alpha=0.8)

    def _draw_label(self, text: str, fill: str, ink: str) -> None:
        """In the corner, if it fits."""
        size = max(_SMALLEST, min(self.size, self.side / 8))
        across, down = chip_size(text, size)
        if max(across, down) + size / 2 > self.side:
            return
        x, y = self.x + across / 2 + size / 4, self.y + down / 2 + size / 4
        self.sheet.chip(x, y, text, size, fill=fill, ink=ink, gid=f"label-{text}")

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """In px of the sheet."""
        return Box(self.x + x0, self.y + y0, self.x + x1, self.y + y1)


def tile_entries(plan: CropPlan, size: float) -> list[Entry]:
    """What the tiles show, in words and samples."""
    pooling = plan.config.pooling
    entries = [Entry(f"grid: tokens, {pooling} × {pooling} patches", partial(_sample_tokens, size))]
    if plan.grid.crops > 1 and plan.config.margin_patches:
        entries.append(Entry("faded: margin, dropped from the prompt", _sample_faded))
    return entries


def _sample_tokens(size: float, sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_SAMPLE)
    third = (box.x1 - box.x0) / 3
    lines = [_vertical(box.x0 + n * third, box) for n in (1, 2)]
    _draw_grid(sheet, [*lines, _horizontal((box.y0 + box.y1) / 2, box)], size)


def _sample_faded(sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_SAMPLE)
    middle = (box.x0 + box.x1) / 2
    sheet.box(Box(middle, box.y0, box.x1, box.y1), fill=PAPER, alpha=_FADED)
    sheet.lines([_vertical(middle, box)], colour=INK, width=1.0, alpha=0.8)


def _draw_grid(sheet: Sheet, lines: list[Segment], size: float) -> None:
    """Light lines with dark sides, so that they show on any ground."""
    width = max(0.5, size / 36)
    sheet.lines(lines, colour=INK, width=2 * width, alpha=0.35)
    sheet.lines(lines, colour=PAPER, width=width, alpha=0.55)


def _vertical(x: float, within: Box) -> Segment:
    return (x, within.y0), (x, within.y1)


def _horizontal(y: float, within: Box) -> Segment:
    return (within.x0, y), (within.x1, y)
