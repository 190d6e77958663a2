"""Which pixels of a large picture are looked at, where looking at all of them takes too long."""

from __future__ import annotations

from math import sqrt

from app.core.plan.geometry import Box

TILE_PX = 64
"""Side of a tile. Smaller ones lie closer together and so miss less, but a larger share of each is
edge; at 32 px fewer than half of an 11 px window's places would be left."""


def spread_tiles(region: Box, most_px: int, tile_px: int = TILE_PX) -> tuple[Box, ...]:
    """Equal tiles of ``region``, evenly spread in rows and columns: ``most_px`` of them in all.

    The region itself if it has no more than that, and one tile where even that is more. A side
    shorter than a tile is spanned. ``region`` has whole coordinates, and so have the tiles, which
    lie within it and do not overlap.
    """
    width, height = int(region.x1 - region.x0), int(region.y1 - region.y0)
    if width * height <= most_px:
        return (region,)
    tile_width, tile_height = min(tile_px, width), min(tile_px, height)
    in_all = most_px // (tile_width * tile_height)
    share_of_side = sqrt(most_px / (width * height))
    if width <= height:
        cols = max(1, int(width * share_of_side) // tile_width)
        rows = max(1, min(in_all // cols, height // tile_height))
    else:
        rows = max(1, int(height * share_of_side) // tile_height)
        cols = max(1, min(in_all // rows, width // tile_width))
    return tuple(
        Box(left, top, left + tile_width, top + tile_height)
        for top in _starts(int(region.y0), height, tile_height, rows)
        for left in _starts(int(region.x0), width, tile_width, cols)
    )


def _starts(first: int, side: int, tile: int, count: int) -> list[int]:
    """Where ``count`` tiles start, each in the middle of its equal part of the side."""
    return [first + (side * (2 * number + 1) // count - tile) // 2 for number in range(count)]
