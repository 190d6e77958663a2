"""``comparison``: the picture with its crops' boundaries, and the crops as the encoder has them.

The crops lie as they do in the tiling, side by side, each with its tokens; the global one before.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan
from app.imaging.pictures.colours import crop_styles
from app.imaging.pictures.crops import draw_canvas, mark_entries
from app.imaging.pictures.page import Page
from app.imaging.pictures.sheet import Sheet
from app.imaging.pictures.tiles import Tile, tile_entries
from app.imaging.pictures.view import drawn_aspect
from app.imaging.pictures.words import base_size

_GAP = 0.11
"""Between two tiles, in sides of a tile."""
_APART = 0.3
"""Between the picture, the global crop and the grid crops."""
_STACKED_FROM = 2.2
"""Aspect from which the picture is above the crops, not left of them: else both would be low."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are, in sides of a tile, the picture's corner at the origin."""

    picture: tuple[float, float]
    tiles: tuple[float, float]
    """Corner of the global crop's tile; the grid crops are right of it."""
    whole: tuple[float, float]

    @classmethod
    def of(cls, plan: CropPlan) -> Layout:
        """As large as it needs to be for the picture to be as high or as wide as the crops."""
        aspect, grid = drawn_aspect(plan), plan.grid
        wide = 1 + _APART + _spread(grid.cols)
        high = _spread(grid.rows)
        if aspect < _STACKED_FROM:
            left = aspect * high + _APART
            return cls((aspect * high, high), (left, 0), (left + wide, high))
        top = wide / aspect + _APART
        return cls((wide, wide / aspect), (0, top), (wide, top + high))


def _spread(tiles: int) -> float:
    return tiles + (tiles - 1) * _GAP


def draw_comparison(plan: CropPlan, image: Image.Image | None, side_px: int) -> Sheet:
    """The sheet of this plan."""
    layout = Layout.of(plan)
    tile = max(1, int(side_px / max(layout.whole)))
    width, height = (tile * length for length in layout.whole)
    page = Page.begin(plan, side_px, width)
    drawn = Size(*(max(1, round(tile * length)) for length in layout.picture))
    size = max(base_size(max(drawn.width, drawn.height)), 0.6 * page.size)
    draw_canvas(page.sheet, plan, image, page.place(plan, drawn), size)
    left, top = (tile * length for length in layout.tiles)

    def square(x: float, y: float) -> Tile:
        at = page.x + round(left + x * tile), page.y + round(top + y * tile)
        return Tile(page.sheet, plan, image, *at, tile, page.size)

    square(0, 0).draw_global()
    for crop, style in zip(plan.crops(), crop_styles(plan.grid), strict=True):
        x, y = 1 + _APART + crop.col * (1 + _GAP), crop.row * (1 + _GAP)
        square(x, y).draw_crop(crop, style)
    entries = [*mark_entries(plan, page.size), *tile_entries(plan, page.size)]
    return page.end(width, height, entries)
