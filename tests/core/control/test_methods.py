"""The comparison of methods: every row is the plan that its setting really gives."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import configs, plan_or_reject, sizes

from app.core.control.fitting import fitting_sizes
from app.core.control.methods import NEEDS, compare_methods, margin_settings, side_settings
from app.core.errors import CollapsedImage, InvalidConfig
from app.core.plan.config import MAX_CROP_SIZE_PX, make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.core.plan.work import plan_flops

MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])
MOLMO2 = make_config(FAMILIES["molmo2-8b"])


def planned_anew(row):
    """The plan of the row's own setting, read from its text, with all else as it is now."""
    config, image = row.current.config, row.current.image
    asked = {
        "max_crops": config.max_crops,
        "overlap_margins": config.overlap_margins,
        "crop_size_px": config.crop_size_px,
    }
    if row.method == "resize":
        width, height = row.setting.split("x")
        image = Size(int(width), int(height))
    elif row.method == "overlap_margins":
        left, right = row.setting.split(",")
        asked["overlap_margins"] = (int(left), int(right))
    else:
        asked[row.method] = int(row.setting)
    return make_plan(image, make_config(config.family, **asked))


def by_method(comparison):
    return {
        method: [row for row in comparison.rows if row.method == method] for method in list(NEEDS)
    }


@given(sizes, configs(largest=16))
def test_every_row_is_what_planning_its_setting_gives(image, config):
    """A method changes its own setting and nothing else, and Molmo would accept it."""
    for row in compare_methods(plan_or_reject(image, config)).rows:
        assert row.plan == planned_anew(row)
        assert row.gflop == plan_flops(row.plan) / 1e9


@given(sizes, configs(largest=16))
def test_the_current_plan_is_once_in_every_method(image, config):
    """At ratio 1, with nothing to change; all else needs what its method needs."""
    current = plan_or_reject(image, config)
    for method, rows in by_method(compare_methods(current)).items():
        [now] = [row for row in rows if row.is_current]
        assert now.plan == current
        assert (now.needs, now.gflop_ratio, now.prompt_tokens_ratio) == ("nothing", 1.0, 1.0)
        assert {row.needs for row in rows if row is not now} <= {NEEDS[method]}


@given(sizes, configs(largest=16))
def test_rows_are_all_that_a_method_reaches_and_nothing_twice(image, config):
    """A limit and a size for each tiling; margins and sides rising, each once."""
    rows = by_method(compare_methods(plan_or_reject(image, config)))
    grids = [row.plan.grid for row in rows["max_crops"]]
    most = max(config.max_crops, config.family.default_max_crops)
    limited = [replace(config, max_crops=count) for count in range(1, most + 1)]
    assert len(grids) == len(set(grids))
    assert set(grids) == {
        plan.grid for other in limited if (plan := plan_if_any(image, other)) is not None
    }
    assert {row.plan.grid: row.plan.image for row in rows["resize"]} == fitting_sizes(image, config)
    for values in (
        [row.plan.config.max_crops for row in rows["max_crops"]],
        [row.plan.config.margin_patches for row in rows["overlap_margins"]],
        [row.plan.config.crop_size_px for row in rows["crop_size_px"]],
    ):
        assert values == sorted(set(values))


def plan_if_any(image, config):
    try:
        return make_plan(image, config)
    except CollapsedImage:
        return None


@given(sizes, configs(largest=16), st.sampled_from(["crops", "tokens"]), st.integers(1, 2500))
def test_the_best_is_the_nearest_within_the_target(image, config, unit, target):
    """The current plan where that will do; no row within is nearer; none only if none is within."""
    current = plan_or_reject(image, config)
    target = target % 20 + 1 if unit == "crops" else target

    def amount(row):
        return row.plan.grid.crops if unit == "crops" else row.plan.tokens.prompt

    for rows in by_method(compare_methods(current, **{f"target_{unit}": target})).values():
        within = [amount(row) for row in rows if amount(row) <= target]
        marked = [row for row in rows if row.best]
        assert len(marked) == min(1, len(within))
        for row in marked:
            assert amount(row) <= target
            stays = any(other.is_current and amount(other) <= target for other in rows)
            assert row.is_current if stays else amount(row) == max(within)


@given(sizes, configs(largest=16))
def test_nothing_is_marked_without_a_target(image, config):
    assert not any(row.best for row in compare_methods(plan_or_reject(image, config)).rows)


def test_one_target_at_most():
    with pytest.raises(InvalidConfig, match="not both"):
        compare_methods(make_plan(Size(9, 9), MOLMO1), target_crops=4, target_tokens=500)


@given(sizes, st.sampled_from([MOLMO1, MOLMO2]), st.data())
def test_the_cost_of_margins_depends_on_their_sum_alone(image, native, data):
    """So one split stands for all of a sum."""
    family, unit = native.family, native.pooling
    first, second = data.draw(st.tuples(*[st.integers(0, 5).map(lambda n: n * unit)] * 2))
    one = plan_or_reject(image, make_config(family, overlap_margins=(first, second)))
    other = plan_or_reject(image, make_config(family, overlap_margins=(0, first + second)))
    assert (one.grid, one.tokens, plan_flops(one)) == (other.grid, other.tokens, plan_flops(other))


@given(
    st.sampled_from(list(FAMILIES)),
    st.integers(1, MAX_CROP_SIZE_PX // 14).map(lambda patches: patches * 14),
)
def test_settings_span_what_is_valid_and_stay_few(family, side):
    """However large the crop: from no margins on, with its own side and the family's."""
    config = make_config(FAMILIES[family], crop_size_px=side, overlap_margins=(0, 0))
    margins = margin_settings(config)
    assert margins[0] == (0, 0)
    assert len(margins) <= 14
    sides = side_settings(config)
    assert {side, config.family.crop_size_px} <= set(sides)
    assert len(sides) <= 8


@pytest.mark.parametrize(
    ("config", "margins", "sides"),
    [
        (
            MOLMO1,
            [(0, 0), (0, 2), (2, 2), (2, 4), (4, 4), (4, 6), (6, 6), (6, 8), (8, 8), (8, 10),
             (10, 10), (10, 12)],
            [168, 224, 280, 336, 392, 448, 504],
        ),
        (MOLMO2, [(n, n) for n in range(14)], [210, 266, 322, 378, 434, 490, 546]),
    ],
)  # fmt: skip
def test_settings_of_each_generation(config, margins, sides):
    """Molmo 1 pools each crop, so its margins are multiples of 2; Molmo 2's are free."""
    assert margin_settings(config) == margins
    assert side_settings(config) == sides


def test_what_the_weights_were_trained_with():
    """Their own margins and side, up to their own number of crops."""
    config = make_config(FAMILIES["molmo-7b-d-0924"], max_crops=24)
    rows = by_method(compare_methods(make_plan(Size(4000, 3000), config)))
    for row in rows["max_crops"] + rows["resize"]:
        assert row.as_trained == (row.plan.grid.crops <= 12)
    assert {row.plan.grid.crops for row in rows["max_crops"]} >= {12, 20}
    current = make_plan(Size(640, 480), MOLMO1)
    rows = by_method(compare_methods(current))
    assert all(row.as_trained for row in rows["max_crops"] + rows["resize"])
    for row in rows["overlap_margins"] + rows["crop_size_px"]:
        assert row.as_trained == row.is_current


def test_a_setting_that_collapses_the_image_is_left_out():
    """1×300 px fits into a crop of 336 px and is nothing in one of 168."""
    rows = by_method(compare_methods(make_plan(Size(1, 300), MOLMO1)))["crop_size_px"]
    assert [row.setting for row in rows] == ["336", "392", "448", "504"]


def test_known_rows():
    """640×480 on Molmo 1: fewer crops, more overlap, and the image's share of the canvas px."""
    rows = {
        (row.method, row.setting): row
        for row in compare_methods(make_plan(Size(640, 480), MOLMO1), target_tokens=600).rows
    }
    limited, resized = rows["max_crops", "4"], rows["resize", "560x420"]
    assert limited.best
    assert resized.best
    assert limited.plan.tokens == resized.plan.tokens
    assert (limited.plan.tokens.prompt, limited.scale_x, resized.scale_x) == (580, 0.875, 0.875)
    wide = rows["overlap_margins", "8,10"]
    assert wide.best
    assert wide.prompt_tokens_ratio < 1 < wide.gflop_ratio
