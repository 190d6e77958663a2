"""``crops``: the picture, and every crop's boundary on it."""

from __future__ import annotations

from math import ceil

from PIL import Image

from app.core.geometry import Box
from app.core.plan import CropPlan
from app.imaging.pictures.colours import crop_styles
from app.imaging.pictures.ground import on_canvas
from app.imaging.pictures.kinds import PictureFormat
from app.imaging.pictures.sheet import Sheet
from app.imaging.pictures.view import View, drawn_size, view_of
from app.imaging.pictures.words import base_size, title_of


def draw_crops(
    plan: CropPlan, image: Image.Image | None, form: PictureFormat, side_px: int
) -> bytes:
    """The picture as a file."""
    sheet, size = Sheet(), base_size(side_px)
    drawn = drawn_size(plan, side_px)
    pad = 1.2 * size
    width = max(drawn.width, 30 * size)
    y = pad
    for paragraph in title_of(plan, size, width):
        y = paragraph.draw(sheet, pad, y)
    y += 0.6 * size
    view = view_of(plan.canvas, drawn, pad, y)
    sheet.photo(on_canvas(image, plan.canvas, drawn), pad, y)
    draw_boundaries(sheet, plan, view, size)
    return sheet.render(width + 2 * pad, y + drawn.height + pad, form)


def draw_boundaries(sheet: Sheet, plan: CropPlan, view: View, size: float) -> None:
    """Every crop's boundary and number."""
    width = max(1.4, size / 5)
    styles = crop_styles(plan.grid)
    inner = [
        inset(view.box(crop.canvas_box), crop.row, crop.col, plan, 1.9 * width)
        for crop in plan.crops()
    ]
    for crop, box in zip(plan.crops(), inner, strict=True):
        sheet.box(box, edge=styles[crop.index].casing, width=1.9 * width, alpha=0.75)
    for crop, box in zip(plan.crops(), inner, strict=True):
        style = styles[crop.index]
        sheet.box(box, edge=style.colour, width=width, dash=style.dash, gid=f"crop-{crop.index}")
    for crop in plan.crops():
        box = view.box(crop.canvas_box)
        style = styles[crop.index]
        sheet.chip(
            (box.x0 + box.x1) / 2,
            (box.y0 + box.y1) / 2,
            str(crop.index),
            size,
            fill=style.colour,
            ink=style.ink,
            gid=f"number-{crop.index}",
        )


def inset(box: Box, row: int, col: int, plan: CropPlan, width: float) -> Box:
    """A boundary moved inwards, so that those of neighbours do not lie on one another.

    Crops of a row have their top and bottom edges in common where they overlap, those of a column
    their left and right edges.
    """
    sharing = ceil(plan.config.crop_patches / plan.config.window_patches)
    x = width * (0.5 + row % sharing)
    y = width * (0.5 + col % sharing)
    return Box(box.x0 + x, box.y0 + y, box.x1 - x, box.y1 - y)
