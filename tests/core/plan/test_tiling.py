"""Tiling: the rule of the reference, and quick forms that are equal to it."""

from dataclasses import replace
from itertools import pairwise
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import configs, sizes

from app.core.plan.config import MAX_CROPS_LIMIT, make_config
from app.core.plan.families import FAMILIES
from app.core.plan.float32 import round_all_to_float32, round_to_float32
from app.core.plan.geometry import MAX_SIDE_PX, Grid, Size
from app.core.plan.tiling import (
    GridsByAspect,
    candidate_grids,
    grids_by_aspect,
    required_scales,
    select_by_limit,
    select_by_rule,
    select_tiling,
)

MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])
wide_sides = st.integers(1, MAX_SIDE_PX)
wide_sizes = st.builds(Size, width=wide_sides, height=wide_sides)


@given(st.floats(allow_nan=False, width=64, min_value=-1e30, max_value=1e30))
def test_float32_rounding_is_numpys(value):
    """The standard library's float32 is the reference's float32."""
    assert round_to_float32(value) == float(np.float32(value))
    assert round_all_to_float32([value, 1.5]) == (float(np.float32(value)), 1.5)


@st.composite
def sizes_at_crossings(draw, config):
    """Sizes whose sides are a whole count of windows, or a px beside it; or a multiple of that."""

    def side(most: int) -> int:
        windows = draw(st.integers(0, most)) * config.window_px
        return max(1, config.margin_px + windows + draw(st.integers(-1, 1)))

    factor = draw(st.sampled_from([1, 1, 1000]))
    return Size(min(side(12) * factor, MAX_SIDE_PX), min(side(12) * factor, MAX_SIDE_PX))


@st.composite
def sizes_at_aspects(draw, config):
    """Sizes whose sides, less the margins, have a candidate's aspect, or a px beside it."""
    grid = draw(st.sampled_from(candidate_grids(config.max_crops)))
    longest = MAX_SIDE_PX - config.margin_px - 1
    steps = draw(st.integers(1, longest // max(grid.rows, grid.cols)))
    off = draw(st.integers(-1, 1))
    width, height = config.margin_px + grid.cols * steps + off, config.margin_px + grid.rows * steps
    return Size(max(1, width), height)


def any_size(config):
    return st.one_of(sizes, wide_sizes, sizes_at_crossings(config), sizes_at_aspects(config))


@given(st.data(), configs(largest=MAX_CROPS_LIMIT))
def test_the_rule_is_the_numpy_recipe(data, config):
    """The choice is that of argmin and argmax over all candidates, computed by numpy in float32."""
    size = data.draw(any_size(config))
    grids = np.array([(g.rows, g.cols) for g in candidate_grids(config.max_crops)], np.int32)
    inner = np.array([size.height - config.margin_px, size.width - config.margin_px], np.float32)
    with np.errstate(divide="ignore"):
        scales = (grids * config.window_px).astype(np.float32) / inner
    required = scales.min(axis=-1)
    if np.all(required < 1):
        best = int(np.argmax(required))
    else:
        best = int(np.argmin(np.where(required < 1, np.float32(10e9), required)))
    assert select_by_rule(size, config) == Grid(*map(int, grids[best]))
    assert required_scales(size, config) == tuple(map(float, required))


@given(st.data(), configs(largest=MAX_CROPS_LIMIT))
def test_the_quick_choice_is_the_rules(data, config):
    size = data.draw(any_size(config))
    assert select_tiling(size, config) == select_by_rule(size, config)


@given(st.integers(MAX_SIDE_PX - 2000, MAX_SIDE_PX), st.integers(-1, 1), st.booleans())
def test_the_quick_choice_is_the_rules_at_the_finest_aspects(long_px, off, landscape):
    """With the largest sides and the most crops, float32 is nearest to calling two scales equal."""
    config = make_config(FAMILIES["molmo2-8b"], max_crops=MAX_CROPS_LIMIT, overlap_margins=(0, 0))
    short_px = long_px * 7 // 8 + off
    size = Size(long_px, short_px) if landscape else Size(short_px, long_px)
    assert select_tiling(size, config) == select_by_rule(size, config)


def test_float32_tells_all_scales_apart():
    """Two scales differ by 1 / (side · the fewer of rows and cols) or more: over 2**-23."""
    assert MAX_SIDE_PX * isqrt(MAX_CROPS_LIMIT) < 2**23


@given(st.data(), configs(largest=MAX_CROPS_LIMIT))
def test_one_pass_finds_the_choice_under_every_limit(data, config):
    size = data.draw(any_size(config))
    found = select_by_limit(required_scales(size, config), config.max_crops)
    assert list(found) == list(range(1, config.max_crops + 1))
    for limit, grid in found.items():
        assert grid == select_by_rule(size, replace(config, max_crops=limit))


@given(st.integers(1, MAX_CROPS_LIMIT))
def test_candidates_are_all_grids_in_the_reference_order(max_crops):
    grids = candidate_grids(max_crops)
    wanted = {
        (r, c)
        for r in range(1, max_crops + 1)
        for c in range(1, max_crops + 1)
        if r * c <= max_crops
    }
    assert {(g.rows, g.cols) for g in grids} == wanted
    assert list(grids) == sorted(grids, key=lambda g: (g.rows * g.cols, g.rows))


@pytest.mark.parametrize("max_crops", [1, 2, 12, 36, 64])
def test_aspects_rise_and_each_changes_the_choice(max_crops):
    """The grid above an aspect is another than below: headroom looks no further than the next."""
    found = grids_by_aspect(max_crops)
    assert list(found.edges) == sorted(found.edges)
    assert all(below != above for below, above in pairwise(found.grids[::2]))


@given(st.integers(1, MAX_CROPS_LIMIT), st.floats(0.01, 100), st.floats(1, 4))
def test_aspects_between_two_have_one_more_at_either_end(max_crops, low, factor):
    high, found = low * factor, grids_by_aspect(max_crops).aspects
    within = [n for n, (cols, rows) in enumerate(found) if low <= cols / rows <= high]
    below = sum(cols / rows < low for cols, rows in found)
    first, last = (within[0], within[-1] + 1) if within else (below, below)
    most = found[max(first - 1, 0) : last + 1]
    assert grids_by_aspect(max_crops).between(low, high) == most


def test_every_aspect_has_its_grids():
    with pytest.raises(ValueError, match="below, at and above"):
        GridsByAspect(((1, 1),), (1.0, 1.5), (Grid(1, 1), Grid(1, 2)))


def test_sizes_below_the_margin_are_not_clamped():
    assert select_tiling(Size(4000, 111), MOLMO1) == Grid(1, 1)
    assert select_tiling(Size(4000, 112), MOLMO1) == Grid(1, 12)
