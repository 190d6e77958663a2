"""``crops``: the picture on its canvas, and every crop's boundary on it."""

from __future__ import annotations

from functools import partial

from PIL import Image

from app.core.plan.geometry import Box
from app.core.plan.plan import CropPlan
from app.imaging.pictures.boundaries import boundaries, draw_line, draw_numbers, line_width
from app.imaging.pictures.colours import crop_styles
from app.imaging.pictures.ground import cut_out
from app.imaging.pictures.legend import Entry
from app.imaging.pictures.marks import mark_overlap, mark_padding, padding_entry
from app.imaging.pictures.page import Page, counted
from app.imaging.pictures.sheet import Sheet
from app.imaging.pictures.view import View, drawn_size
from app.imaging.pictures.zones import Zone, coverage_zones, padding_of

_PLAIN_SAMPLE = "#c3c9d0"


def draw_crops(plan: CropPlan, image: Image.Image | None, side_px: int) -> Sheet:
    """The sheet of this plan."""
    drawn = drawn_size(plan, side_px)
    page = Page.begin(plan, side_px, drawn.width)
    draw_canvas(page.sheet, plan, image, page.place(plan, drawn), page.size)
    side = plan.config.crop_size_px
    unseen = Entry(f"not outlined: the global crop, all of it in {side} × {side} px")
    return page.end(drawn.width, drawn.height, [*mark_entries(plan, page.size), unseen])


def draw_canvas(
    sheet: Sheet, plan: CropPlan, image: Image.Image | None, view: View, size: float
) -> None:
    """The canvas with its padding and overlaps marked, and the crops' boundaries."""
    canvas, box = plan.canvas, view.box(plan.canvas.box)
    sheet.photo(cut_out(image, canvas, canvas.box, view.drawn), round(box.x0), round(box.y0))
    for number, padding in enumerate(padding_of(canvas)):
        mark_padding(sheet, view.box(padding), size, gid=f"padding-{number}")
    for zone in overlaps(plan):
        mark_overlap(sheet, view.box(zone.box), zone.count, size)
    for boundary in boundaries(plan, view, size):
        boundary.draw(sheet)
    draw_numbers(sheet, plan, view, size)


def overlaps(plan: CropPlan) -> list[Zone]:
    """What more than one crop covers, without the padding, which is marked as such."""
    clipped = (
        (zone.box.intersect(plan.canvas.content), zone.count)
        for zone in coverage_zones(plan)
        if zone.count > 1
    )
    return [Zone(box, count) for box, count in clipped if box is not None]


def mark_entries(plan: CropPlan, size: float) -> list[Entry]:
    """What the marks of this picture mean: of those that it has."""
    entries = [Entry("grid crops, by index", partial(_sample_boundary, plan, size))]
    counts = sorted({zone.count for zone in overlaps(plan)})
    for alike in ([n for n in counts if n == 2], [n for n in counts if n > 2]):
        if alike:
            mark = partial(_sample_overlap, alike[0], size)
            entries.append(Entry(f"in {counted(alike)} crops", mark))
    return entries + padding_entry(plan, size)


def _sample_boundary(plan: CropPlan, size: float, sheet: Sheet, box: Box) -> None:
    width = line_width(size)
    inner = Box(box.x0 + width, box.y0 + width, box.x1 - width, box.y1 - width)
    draw_line(sheet, inner, crop_styles(plan.grid)[0], width)


def _sample_overlap(count: int, size: float, sheet: Sheet, box: Box) -> None:
    sheet.box(box, fill=_PLAIN_SAMPLE)
    mark_overlap(sheet, box, count, size)
