"""Sampling: tiles that lie in the picture, apart from one another, everywhere, and are few."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.core.plan.geometry import Box
from app.imaging.quality import TILE_PX, spread_tiles

sides = st.one_of(st.integers(1, 200), st.integers(1, 20_000))


@st.composite
def regions(draw: st.DrawFn) -> Box:
    x0, y0 = draw(st.integers(0, 50)), draw(st.integers(0, 50))
    return Box(x0, y0, x0 + draw(sides), y0 + draw(sides))


limits = st.integers(0, 1_000_000)


@given(regions(), limits)
def test_tiles_are_equal_and_lie_in_the_region_apart(region, most_px):
    tiles = spread_tiles(region, most_px)
    columns = sorted({(tile.x0, tile.x1) for tile in tiles})
    rows = sorted({(tile.y0, tile.y1) for tile in tiles})
    assert len(tiles) == len(set(tiles)) == len(columns) * len(rows)
    assert len({(tile.x1 - tile.x0, tile.y1 - tile.y0) for tile in tiles}) == 1
    for spans, start, end in ((columns, region.x0, region.x1), (rows, region.y0, region.y1)):
        assert start <= spans[0][0]
        assert spans[-1][1] <= end
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


@given(regions(), limits)
def test_never_more_pixels_than_asked_for_but_for_one_tile(region, most_px):
    tiles = spread_tiles(region, most_px)
    assert len(tiles) == 1 or sum(tile.area for tile in tiles) <= most_px


@given(regions(), limits)
def test_all_is_taken_where_all_may_be(region, most_px):
    assert (spread_tiles(region, most_px) == (region,)) == (
        region.area <= most_px or (region.x1 - region.x0 <= TILE_PX >= region.y1 - region.y0)
    )


@given(st.integers(1500, 6000), st.integers(1500, 6000), st.integers(300_000, 900_000))
def test_tiles_are_spread_evenly(width, height, most_px):
    """The distances between tiles, and to the edges, are about the same both ways."""
    tiles = spread_tiles(Box(0, 0, width, height), most_px)
    cols, rows = len({tile.x0 for tile in tiles}), len({tile.y0 for tile in tiles})
    assert 0.5 < (width / cols) / (height / rows) < 2
    assert sum(tile.area for tile in tiles) > 0.7 * min(most_px, width * height)
    assert min(tile.x0 for tile in tiles) <= width / cols
    assert max(tile.x1 for tile in tiles) >= width - width / cols
