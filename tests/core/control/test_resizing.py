"""Searches for sizes: what they find is what trying every size would find."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.strategies import configs, plan_or_reject, sizes

from app.core.control.fitting import canvas_grids, fitting_sizes, nearest_grid
from app.core.control.resizing import Target, decide_resize, least_changes
from app.core.control.table import lookup_table
from app.core.errors import InvalidConfig, UnreachableTarget
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import make_plan

MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])
modes = st.sampled_from(["auto", "fit", "pad", "crop", "stretch"])


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
    assert nearest_grid(6, Size(500, 500), MOLMO1) == Grid(2, 3)


@given(sizes, configs(largest=64))
def test_nearest_canvas_is_found_among_all(image, config):
    """The distance of two aspects is their ratio, and of two grids the first by rows wins."""
    for crops, canvases in canvas_grids(config).items():
        distances = {}
        for grid, canvas in canvases.items():
            ratio = Fraction(canvas.width * image.height, canvas.height * image.width)
            distances[grid] = max(ratio, 1 / ratio)
        assert nearest_grid(crops, image, config) == min(distances, key=distances.__getitem__)


TWO_GRIDS = make_config(FAMILIES["molmo2-8b"], crop_size_px=168)


@given(sizes, configs(largest=12))
@example(Size(3133, 954), TWO_GRIDS)  # 2x4 and 1x8, both of its own aspect
@example(Size(3133, 955), TWO_GRIDS)
def test_control_tables_agree_with_planning(image, config):
    """Every row is what planning that row gives, and every count has one."""
    plan = plan_or_reject(image, config)
    table = least_changes(image, config)
    assert [row.grid.crops for row in table] == list(range(1, config.max_crops + 1))
    for row in table:
        assert make_plan(row.size, config).grid == row.grid
        decision = decide_resize(image, config, Target(crops=row.grid.crops)).decision
        assert row == (decision.grid, decision.size, decision.mode)
    assert table[plan.grid.crops - 1].mode == "unchanged"


@given(configs(largest=12), st.one_of(st.none(), sizes), st.booleans())
def test_lookup_table_options_hold(config, size, as_aspect):
    """Each option's size and fit give its grid; best is nearest the aspect; no count is missing."""
    asked = {"aspect" if as_aspect else "image": size}
    table = lookup_table(config, **asked)
    assert [row.target_crops for row in table] == list(range(1, config.max_crops + 1))
    for row in table:
        assert len({option.grid for option in row.options}) == len(row.options)
        nearest = nearest_grid(row.target_crops, size or Size(1, 1), config)
        assert row.options[row.best].grid == nearest
        for option in row.options:
            assert option.grid.crops == row.target_crops
            assert make_plan(option.size, config).grid == option.grid
            if option.fit:
                assert make_plan(option.fit.size, config).grid == option.grid
    assert size is not None or all(o.fit is None for row in table for o in row.options)


def test_what_cannot_be_planned_is_not_promised():
    """Strips of tiny crops collapse in the global crop: no table lists them, no mode makes them."""
    config = make_config(
        FAMILIES["molmo-7b-d-0924"], max_crops=24, crop_size_px=14, overlap_margins=(0, 0)
    )
    listed = {row.grid.crops for row in least_changes(Size(60, 40), config)}
    assert 12 in listed
    assert listed.isdisjoint({17, 19, 23})
    for row in lookup_table(config):
        for option in row.options:
            make_plan(option.size, config)
    with pytest.raises(UnreachableTarget) as caught:
        decide_resize(Size(60, 40), config, Target(grid=Grid(1, 20)))
    assert "limit" not in caught.value.facts
