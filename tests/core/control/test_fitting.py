"""Sizes of an aspect, and headroom: the searches find what trying every size finds."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.strategies import configs, plan_or_reject

from app.core.control.aspect_row import LONGEST_SEARCHED_PX, AspectRow
from app.core.control.fitting import canvas_grids, fitting_sizes, sizes_within_canvas
from app.core.control.headroom import Headroom, height_headroom, width_headroom
from app.core.errors import CollapsedImage
from app.core.plan.canvas import canvas_size
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import make_plan
from app.core.plan.tiling import select_tiling

MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])
MOLMO2 = FAMILIES["molmo2-8b"]
small_sides = st.one_of(st.integers(1, 1800), st.sampled_from([111, 112, 113, 336, 560]))
small_sizes = st.builds(Size, width=small_sides, height=small_sides)
round_aspects = st.builds(
    lambda rows, cols, step, off: Size(cols * step, max(1, rows * step + off)),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 300),
    st.integers(-1, 1),
)


def sizes_of_aspect(image: Size, longest_px: int) -> Iterator[tuple[int, Size]]:
    """Every size of the aspect: the longer side, and the shorter one to nearest, halves up."""
    long_px, short_px = max(image.width, image.height), min(image.width, image.height)
    for long in range(1, longest_px + 1):
        short = (2 * long * short_px + long_px) // (2 * long_px)
        if short:
            yield long, Size(long, short) if image.width >= image.height else Size(short, long)


def planned_grid(size: Size, config: CropConfig) -> Grid | None:
    try:
        return make_plan(size, config).grid
    except CollapsedImage:
        return None


def longest_canvas(config: CropConfig) -> int:
    return min(config.max_crops * config.window_px + config.margin_px, LONGEST_SEARCHED_PX)


def fits_by_trying(image: Size, config: CropConfig) -> dict[Grid, Size]:
    """The largest size not above the original, else the smallest above, of every grid."""
    own = max(image.width, image.height)
    found: dict[Grid, Size] = {}
    for long, size in sizes_of_aspect(
        image, min(max(own, longest_canvas(config)), LONGEST_SEARCHED_PX)
    ):
        grid = planned_grid(size, config)
        if grid is not None and (long <= own or grid not in found):
            found[grid] = size
    if own > LONGEST_SEARCHED_PX and (grid := planned_grid(image, config)):
        found[grid] = image
    return found


@settings(max_examples=40)
@given(st.one_of(small_sizes, round_aspects), configs(largest=12))
def test_fits_are_what_trying_every_size_finds(image, config):
    assert fitting_sizes(image, config) == fits_by_trying(image, config)


@pytest.mark.parametrize(
    ("image", "overrides"),
    [
        (Size(300, 1), {"overlap_margins": (0, 0)}),
        (Size(1, 40), {"overlap_margins": (0, 0), "crop_size_px": 56}),
        (Size(2414, 42), {"overlap_margins": (0, 0), "crop_size_px": 56, "max_crops": 8}),
    ],
)
def test_a_size_that_rounding_makes_too_narrow_is_no_fit(image, overrides):
    """The image can be planned; sizes of its aspect with a shorter side rounded down cannot."""
    config = make_config(FAMILIES["molmo-7b-d-0924"], **overrides)
    assert fitting_sizes(image, config) == fits_by_trying(image, config)


@settings(max_examples=20)
@given(st.one_of(small_sizes, round_aspects), configs(largest=9))
def test_sizes_within_canvases_are_what_trying_every_size_finds(aspect, config):
    """The largest size inside the canvas of its grid, else the smallest that gets the grid."""
    found: dict[Grid, Size] = {}
    for _, size in sizes_of_aspect(aspect, longest_canvas(config)):
        grid = planned_grid(size, config)
        if grid is not None:
            canvas = canvas_size(grid, config)
            inside = size.width <= canvas.width and size.height <= canvas.height
            if inside or grid not in found:
                found[grid] = size
    assert sizes_within_canvas(aspect, config) == found


@pytest.mark.parametrize(
    ("image", "config"),
    [
        (Size(7212, 17861), MOLMO1),
        (Size(333_409, 1_000_000), make_config(MOLMO2, max_crops=4)),
        (Size(23_970, 35_897), make_config(MOLMO2, crop_size_px=4088)),
    ],
)
def test_a_size_at_the_end_of_the_search_is_found(image, config):
    """An image beyond the longest side that is searched: the last size searched counts as well."""
    found = fitting_sizes(image, config)
    assert found == fits_by_trying(image, config)
    assert LONGEST_SEARCHED_PX in {max(size.width, size.height) for size in found.values()}


@settings(max_examples=25)
@given(st.one_of(small_sizes, round_aspects), configs(largest=24), st.integers(1, 3000))
@example(Size(830, 1997), make_config(FAMILIES["molmo-7b-d-0924"], max_crops=6), 2500)
@example(Size(1688, 922), MOLMO1, 2500)
@example(Size(2000, 1999), MOLMO1, 2000)
@example(Size(1999, 2000), MOLMO1, 2000)
def test_runs_are_all_sizes_of_the_row(image, config, longest_px):
    """In order, none left out, each of the grid of its run."""
    runs = list(AspectRow(image, config).runs(longest_px))
    in_runs = [(long, run.grid) for run in runs for long in range(run.first, run.last + 1)]
    assert in_runs == [
        (long, select_tiling(size, config)) for long, size in sizes_of_aspect(image, longest_px)
    ]


@given(configs(largest=24))
def test_canvases_are_grouped_by_crops_each_with_its_grid(config):
    for crops, canvases in canvas_grids(config).items():
        for grid, canvas in canvases.items():
            assert grid.crops == crops
            assert canvas == canvas_size(grid, config)
            assert make_plan(canvas, config).grid == grid


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        (Size(1000, 1000), {1, 4, 9}),
        (Size(4000, 3000), {1, 2, 4, 6, 9, 12}),
        (Size(3000, 2000), {1, 2, 4, 6, 8, 12}),
        (Size(1920, 1080), {1, 2, 3, 6, 8, 12}),
        (Size(2000, 1000), {1, 2, 3, 6, 8, 10}),
        (Size(2100, 900), {1, 2, 3, 4, 8, 10, 12}),
    ],
)
def test_counts_that_keeping_the_aspect_reaches(size, counts):
    """Of Molmo 1 with 12 crops, landscape and portrait alike."""
    assert {grid.crops for grid in fitting_sizes(size, MOLMO1)} == counts
    turned = Size(size.height, size.width)
    assert {grid.crops for grid in fitting_sizes(turned, MOLMO1)} == counts


def test_a_count_at_a_single_size_is_found():
    """21:9 gives 4 crops at 785×336 and nowhere else."""
    assert Size(785, 336) in fitting_sizes(Size(2100, 900), MOLMO1).values()


def test_sizes_for_an_aspect_lose_no_pixel_where_they_can():
    """Of 4:3 the size for 2×3 is as large as its canvas holds."""
    sizes_by_grid = sizes_within_canvas(Size(4, 3), MOLMO1)
    assert sizes_by_grid[Grid(2, 3)] == Size(747, 560)
    assert sizes_by_grid[Grid(3, 4)] == Size(1008, 756)


@pytest.mark.parametrize(
    ("size", "overrides", "most"),
    [
        (Size(4032, 3024), {}, 20),
        (Size(640, 427), {"max_crops": 64}, 80),
        (Size(16_384, 12_293), {}, 100),
        (Size(1_000_000, 999_999), {}, 20),
        (Size(1_000_000, 1), {"overlap_margins": (0, 0)}, 20),
        (Size(1_000_000, 500_000), {"overlap_margins": (0, 0)}, LONGEST_SEARCHED_PX),
    ],
)
def test_a_search_looks_at_few_sizes(size, overrides, most):
    """Only without a margin and at the aspect of a grid it looks at all, and it always ends."""
    config = make_config(FAMILIES["molmo-7b-d-0924"], **overrides)
    assert len(list(AspectRow(size, config).runs(LONGEST_SEARCHED_PX))) <= most


@pytest.mark.parametrize(
    ("size", "overrides", "grid", "best"),
    [
        (Size(3, 1236), {"overlap_margins": (0, 6)}, Grid(1, 1), Size(2, 672)),
        (
            Size(2414, 42),
            {"max_crops": 8, "overlap_margins": (0, 0), "crop_size_px": 56},
            Grid(1, 8),
            Size(1064, 19),
        ),
    ],
)
def test_the_largest_size_is_found_where_others_collapse(size, overrides, grid, best):
    """Between sizes that can be planned lie some that cannot."""
    config = make_config(FAMILIES["molmoe-1b-0924"], **overrides)
    assert fitting_sizes(size, config)[grid] == best


def headroom_by_trying(size_at, side, config) -> Headroom:
    grid = select_tiling(size_at(side), config)
    steps_down = range(side - 1, 0, -1)
    steps_up = range(side + 1, 9000)
    down = next(
        (side - px - 1 for px in steps_down if select_tiling(size_at(px), config) != grid), None
    )
    up = next(
        (px - side - 1 for px in steps_up if select_tiling(size_at(px), config) != grid), None
    )
    return Headroom(down, up)


@settings(max_examples=15)
@given(small_sizes, configs(largest=9))
def test_headroom_is_what_trying_every_size_finds(size, config):
    """One px beyond the headroom the tiling is another; up to it, it is the same."""
    plan = plan_or_reject(size, config)
    assert width_headroom(plan) == headroom_by_trying(
        lambda px: Size(px, size.height), size.width, config
    )
    assert height_headroom(plan) == headroom_by_trying(
        lambda px: Size(size.width, px), size.height, config
    )
