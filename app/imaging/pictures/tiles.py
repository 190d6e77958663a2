"""One crop as the encoder is given it: its px, its tokens, and what of it is dropped."""

from __future__ import annotations

from itertools import pairwise

from PIL import Image

from app.core.canvas import Canvas
from app.core.geometry import Box, Size
from app.core.plan import Crop, CropPlan
from app.imaging.pictures.colours import crop_styles
from app.imaging.pictures.ground import cut_out, whole
from app.imaging.pictures.legend import Entry
from app.imaging.pictures.marks import mark_padding
from app.imaging.pictures.output import PAPER
from app.imaging.pictures.sheet import INK, Segment, Sheet, chip_size
from app.imaging.pictures.zones import KeptPatches, around, kept_patches, padding_of

_FADED = 0.62
_NARROWEST_PX = 3.5
"""Between two lines of a grid; where tokens are smaller than this their grid is left out."""
_SAMPLE = "#57606a"


def draw_tile(
    sheet: Sheet,
    plan: CropPlan,
    crop: Crop,
    image: Image.Image | None,
    x: int,
    y: int,
    side: int,
    size: float,
) -> None:
    """A grid crop, ``side`` px wide and high with its corner at ``(x, y)``."""
    style = crop_styles(plan.grid)[crop.index]
    scale = side / plan.config.crop_size_px
    _draw_ground(sheet, plan.canvas, crop.canvas_box, image, x, y, side, size)
    rows = kept_patches(plan.grid.rows, plan.config)[crop.row]
    cols = kept_patches(plan.grid.cols, plan.config)[crop.col]
    _draw_tokens(sheet, rows, cols, x, y, plan.config.patch_size_px * scale, side)
    width = max(1.0, min(size / 4, side / 30))
    frame = Box(x - width / 2, y - width / 2, x + side + width / 2, y + side + width / 2)
    sheet.box(frame, edge=style.casing, width=1.5 * width)
    sheet.box(frame, edge=style.colour, width=width, gid=f"tile-{crop.index}")
    _draw_label(sheet, str(crop.index), x, y, side, size, style.colour, style.ink)


def _draw_label(
    sheet: Sheet, text: str, x: int, y: int, side: int, size: float, fill: str, ink: str
) -> None:
    """In the corner of a tile, as far as it fits."""
    number = min(size, side / 8)
    across, down = chip_size(text, number)
    middle = (x + across / 2 + number / 4, y + down / 2 + number / 4)
    sheet.chip(*middle, text, number, fill=fill, ink=ink, gid=f"label-{text}")


def draw_global_tile(
    sheet: Sheet, plan: CropPlan, image: Image.Image | None, x: int, y: int, side: int, size: float
) -> None:
    """The global crop, all of whose tokens are kept."""
    canvas, patch = plan.global_canvas, plan.config.patch_size_px * side / plan.config.crop_size_px
    _draw_ground(sheet, canvas, whole(canvas), image, x, y, side, size)
    (axis,) = kept_patches(1, plan.config)
    _draw_tokens(sheet, axis, axis, x, y, patch, side)
    sheet.box(Box(x, y, x + side, y + side), edge=INK, width=max(1.0, size / 8), gid="tile-global")
    _draw_label(sheet, "global", x, y, side, size, PAPER, INK)


def _draw_ground(
    sheet: Sheet,
    canvas: Canvas,
    box: Box,
    image: Image.Image | None,
    x: int,
    y: int,
    side: int,
    size: float,
) -> None:
    sheet.photo(cut_out(image, canvas, box, Size(side, side)), x, y)
    scale = side / (box.x1 - box.x0)
    for padding in padding_of(canvas):
        part = padding.intersect(box)
        if part:
            mark_padding(sheet, _placed(part, box, x, y, scale), size)


def _placed(part: Box, box: Box, x: float, y: float, scale: float) -> Box:
    """A part of ``box`` in px of the sheet, where the box has its corner at ``(x, y)``."""
    return Box(
        x + (part.x0 - box.x0) * scale,
        y + (part.y0 - box.y0) * scale,
        x + (part.x1 - box.x0) * scale,
        y + (part.y1 - box.y0) * scale,
    )


def _draw_tokens(
    sheet: Sheet, rows: KeptPatches, cols: KeptPatches, x: int, y: int, patch: float, side: int
) -> None:
    """Fade what is dropped; lines between the tokens of what is kept, and one around them."""
    kept = Box(
        x + cols.first * patch, y + rows.first * patch, x + cols.last * patch, y + rows.last * patch
    )
    for box in around(kept, Box(x, y, x + side, y + side)):
        sheet.box(box, fill=PAPER, alpha=_FADED)
    least = min((b - a for axis in (rows, cols) for a, b in pairwise(axis.cuts)), default=1)
    if least * patch >= _NARROWEST_PX:
        down: list[Segment] = [
            ((x + at * patch, kept.y0), (x + at * patch, kept.y1)) for at in cols.cuts
        ]
        across: list[Segment] = [
            ((kept.x0, y + at * patch), (kept.x1, y + at * patch)) for at in rows.cuts
        ]
        _draw_grid(sheet, [*down, *across])
    if kept != Box(x, y, x + side, y + side):
        sheet.box(kept, edge=INK, width=1.0, alpha=0.8)


def tile_entries(plan: CropPlan, size: float) -> list[Entry]:
    """What the tiles show, in words and samples."""
    pooling = plan.config.pooling
    entries = [Entry(f"grid: tokens, {pooling} × {pooling} patches", _sample_tokens)]
    if plan.grid.crops > 1 and plan.config.margin_patches:
        entries.append(Entry("faded: margin, dropped from the prompt", _sample_faded))
    return entries


def _sample_tokens(sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_SAMPLE)
    third = (box.x1 - box.x0) / 3
    middle = (box.y0 + box.y1) / 2
    lines: list[Segment] = [
        ((box.x0 + n * third, box.y0), (box.x0 + n * third, box.y1)) for n in (1, 2)
    ]
    lines.append(((box.x0, middle), (box.x1, middle)))
    _draw_grid(sheet, lines)


def _sample_faded(sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_SAMPLE)
    middle = (box.x0 + box.x1) / 2
    sheet.box(Box(middle, box.y0, box.x1, box.y1), fill=PAPER, alpha=_FADED)
    sheet.lines([((middle, box.y0), (middle, box.y1))], colour=INK, width=1.0, alpha=0.8)


def _draw_grid(sheet: Sheet, lines: list[Segment]) -> None:
    """Light lines with dark sides, so that they show on any ground."""
    sheet.lines(lines, colour=INK, width=1.0, alpha=0.35)
    sheet.lines(lines, colour=PAPER, width=0.5, alpha=0.55)
