"""Searches for sizes: what they find is what trying every size would find."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import configs, plan_or_reject, sizes

from app.core.control.alternatives import candidates, max_crops_table, size_table
from app.core.control.breakpoints import AspectRow
from app.core.control.fitting import LONGEST_SEARCHED_PX, fitting_sizes, sizes_within_canvas
from app.core.control.headroom import Headroom, height_headroom, width_headroom
from app.core.control.resizing import Target, decide_resize, nearest_grid
from app.core.control.table import lookup_table
from app.core.errors import CollapsedImage, InvalidConfig, UnreachableTarget
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import make_plan
from app.core.plan.tiling import select_tiling

MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])
small_sides = st.one_of(st.integers(1, 1800), st.sampled_from([111, 112, 113, 336, 560]))
small_sizes = st.builds(Size, width=small_sides, height=small_sides)
modes = st.sampled_from(["auto", "fit", "pad", "crop", "stretch"])


def planned(size, config):
    try:
        return make_plan(size, config)
    except CollapsedImage:
        return None


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


@settings(max_examples=100)
@given(small_sizes, configs(largest=12), st.integers(1, 300))
def test_headroom_within_a_bound_is_all_headroom_below_it(size, config, within_px):
    plan = plan_or_reject(size, config)
    for headroom in (width_headroom, height_headroom):
        whole = headroom(plan)
        assert headroom(plan, within_px) == Headroom(
            *(px if px is not None and px < within_px else None for px in (whole.down, whole.up))
        )


@settings(max_examples=25)
@given(small_sizes, configs(largest=12))
def test_fits_are_what_trying_every_size_finds(image, config):
    """The largest size not above the original, else the smallest above, of every grid."""
    row = AspectRow(image)
    longest = max(row.long_px, config.max_crops * config.window_px + config.margin_px)
    found: dict[Grid, Size] = {}
    for long_px in range(1, longest + 1):
        size = image if long_px == row.long_px else row.size(long_px)
        if row.has(long_px) and (plan := planned(size, config)):
            if long_px > row.long_px and plan.grid in found:
                continue
            found[plan.grid] = size
    assert dict(fitting_sizes(image, config)) == found


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


@given(sizes, configs(largest=12), st.integers(1, 12), modes, st.sampled_from(["allow", "never"]))
def test_a_target_is_met_exactly_or_refused(image, config, crops, mode, upscale):
    """What is decided plans to the target; what is refused says what can be reached."""
    try:
        decision = decide_resize(
            image, config, Target(crops=crops), mode=mode, upscale=upscale
        ).decision
    except UnreachableTarget as error:
        reachable = {option["crops"] for option in error.facts["reachable"]}
        assert mode != "auto" or crops > config.max_crops or upscale == "never"
        assert mode in ("fit", "crop", "stretch") or crops not in reachable
        return
    assert decision.grid.crops == crops
    assert make_plan(decision.size, config).grid == decision.grid
    if upscale == "never":
        assert not decision.upscaled
        assert decision.scale_x <= 1
        assert decision.scale_y <= 1


@given(sizes, configs(largest=12), st.integers(200, 3000), modes)
def test_a_token_budget_is_used_as_far_as_the_mode_allows(image, config, budget, mode):
    """No option of the mode has more prompt tokens and is still within the budget."""
    target = Target(tokens=budget)
    try:
        decision = decide_resize(image, config, target, mode=mode).decision
    except UnreachableTarget as error:
        options = [o for o in error.facts["reachable"] if mode == "auto" or mode in o["modes"]]
        assert all(option["prompt_tokens"] > budget for option in options)
        return
    prompt = make_plan(decision.size, config).tokens.prompt
    assert prompt <= budget
    if decision.mode == "fit":
        for size in fitting_sizes(image, config).values():
            assert not prompt < make_plan(size, config).tokens.prompt <= budget


def test_an_image_that_meets_the_target_stays():
    """Unless the bytes cannot stay: then it is fitted to its own size."""
    image = Size(640, 480)
    assert decide_resize(image, MOLMO1, Target(crops=6)).decision.mode == "unchanged"
    fitted = decide_resize(image, MOLMO1, Target(crops=6), may_stay=False)
    assert (fitted.decision.mode, fitted.decision.size) == ("fit", image)
    assert "unchanged" not in {option.mode for option in fitted.alternatives}


def test_fit_prefers_the_largest_size_not_above_the_original():
    image = Size(4000, 3000)
    size = decide_resize(image, MOLMO1, Target(crops=4), mode="fit").decision.size
    assert size == Size(560, 420)
    assert make_plan(Size(561, 421), MOLMO1).grid.crops != 4


def test_forced_tiling_is_met():
    decision = decide_resize(Size(640, 480), MOLMO1, Target(grid=Grid(3, 2))).decision
    assert (decision.mode, decision.grid) == ("pad", Grid(3, 2))
    with pytest.raises(InvalidConfig, match="tiling 2x3 has 6 crops"):
        decide_resize(Size(640, 480), MOLMO1, Target(crops=4, grid=Grid(2, 3)))
    with pytest.raises(UnreachableTarget):
        decide_resize(Size(640, 480), MOLMO1, Target(grid=Grid(4, 4)))


@pytest.mark.parametrize("target", [Target(), Target(crops=1, tokens=500)])
def test_one_target_and_only_one(target):
    with pytest.raises(InvalidConfig):
        decide_resize(Size(640, 480), MOLMO1, target)


def test_pad_without_upscaling_keeps_the_pixels():
    """The image is not enlarged; there is only more black around it."""
    decision = decide_resize(
        Size(100, 80), MOLMO1, Target(crops=4), mode="pad", upscale="never"
    ).decision
    assert (decision.scale_x, decision.scale_y, decision.upscaled) == (1, 1, False)
    assert decision.size == Size(560, 560)


def test_a_collapsed_image_can_still_be_padded():
    """What Molmo cannot plan can be made plannable."""
    decision = decide_resize(Size(1, 4000), MOLMO1, Target(crops=2)).decision
    assert decision.mode == "pad"
    assert make_plan(decision.size, MOLMO1).grid.crops == 2


def test_nearest_factorisation_follows_the_aspect():
    assert nearest_grid(6, Size(640, 480), MOLMO1) == Grid(2, 3)
    assert nearest_grid(6, Size(480, 640), MOLMO1) == Grid(3, 2)
    assert nearest_grid(6, Size(2000, 300), MOLMO1) == Grid(1, 6)


@given(sizes, configs(largest=12))
def test_control_tables_agree_with_planning(image, config):
    """Every row is what planning that row gives, and every count has one."""
    plan = plan_or_reject(image, config)
    chosen = [candidate for candidate in candidates(plan) if candidate.selected]
    assert [c.grid for c in chosen] == [plan.grid]
    rows = max_crops_table(plan)
    assert [row.max_crops for row in rows] == list(range(1, config.max_crops + 1))
    assert (rows[-1].grid, rows[-1].tokens) == (plan.grid, plan.tokens)
    table = size_table(plan)
    assert [row.crops for row in table] == list(range(1, config.max_crops + 1))
    for row in table:
        assert row.grid.crops == row.crops
        assert make_plan(row.size, config).grid == row.grid
    assert table[plan.grid.crops - 1].reached_by == "unchanged"


@given(configs(largest=12), st.one_of(st.none(), sizes), st.booleans())
def test_lookup_table_options_hold(config, size, as_aspect):
    """Each option's size and fit give its grid; best is nearest the aspect; no count is missing."""
    asked = {"aspect" if as_aspect else "image": size}
    table = lookup_table(config, **asked)
    assert [row.target_crops for row in table] == list(range(1, config.max_crops + 1))
    for row in table:
        assert len({option.grid for option in row.options}) == len(row.options)
        assert row.options[row.best].grid == nearest_grid(
            row.target_crops, size or Size(1, 1), config
        )
        for option in row.options:
            assert option.grid.crops == row.target_crops
            assert make_plan(option.size, config).grid == option.grid
            if option.fit:
                assert make_plan(option.fit.size, config).grid == option.grid
    assert size is not None or all(o.fit is None for row in table for o in row.options)


def test_sizes_for_an_aspect_lose_no_pixel_where_they_can():
    """Of 4:3 the size for 2×3 is as large as its canvas holds."""
    sizes_by_grid = sizes_within_canvas(Size(4, 3), MOLMO1)
    assert sizes_by_grid[Grid(2, 3)] == Size(747, 560)
    assert sizes_by_grid[Grid(3, 4)] == Size(1008, 756)


@pytest.mark.parametrize(
    ("size", "overrides"),
    [
        (Size(1_000_000, 500_000), {"overlap_margins": (0, 0)}),
        (Size(1_000_000, 999_999), {}),
        (Size(1_000_000, 1), {"overlap_margins": (0, 0)}),
        (Size(999_998, 999_997), {"crop_size_px": 4088}),
    ],
)
def test_no_size_makes_a_search_endless(size, overrides, monkeypatch):
    """However large the image and the canvases, so many tilings are computed and no more."""
    config = make_config(FAMILIES["molmo2-8b"], max_crops=12, **overrides)
    calls = 0

    def counted(*arguments):
        nonlocal calls
        calls += 1
        return select_tiling(*arguments)

    monkeypatch.setattr("app.core.control.fitting.select_tiling", counted)
    fitting_sizes.cache_clear()
    fitting_sizes(size, config)
    sizes_within_canvas(size, config)
    assert 0 < calls <= 2 * (LONGEST_SEARCHED_PX + 1)


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


def test_what_cannot_be_planned_is_not_promised():
    """Strips of tiny crops collapse in the global crop: no table lists them, no mode makes them."""
    config = make_config(
        FAMILIES["molmo-7b-d-0924"], max_crops=24, crop_size_px=14, overlap_margins=(0, 0)
    )
    plan = make_plan(Size(60, 40), config)
    listed = {row.crops for row in size_table(plan)}
    assert 12 in listed
    assert listed.isdisjoint({17, 19, 23})
    for row in lookup_table(config):
        for option in row.options:
            make_plan(option.size, config)
    with pytest.raises(UnreachableTarget) as caught:
        decide_resize(Size(60, 40), config, Target(grid=Grid(1, 20)))
    assert "limit" not in caught.value.facts
