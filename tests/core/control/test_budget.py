"""From a budget to a candidate: laws of what is listed and of what is taken."""

from dataclasses import replace
from math import inf, nan, nextafter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.strategies import configs, sizes

from app.core.control.budget import Budget, Candidate, as_it_is, candidates, safe_limit
from app.core.control.choice import Judged, choose
from app.core.control.fitting import canvas_grids
from app.core.control.resizing import ways_to_resize
from app.core.control.retained import ImageQuality
from app.core.errors import BudgetUnreachable, CollapsedImage, InvalidConfig
from app.core.plan.canvas import canvas_size
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tiling import select_tiling

MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])
PHOTO = Size(4000, 3000)
TOKENS = Budget(tokens=1)
ALL_MODES = ("fit", "pad", "crop", "stretch")

strategies = st.sampled_from(["best", "resize", "max_crops", "hybrid"])
mode_lists = st.lists(st.sampled_from(ALL_MODES), unique=True).map(tuple)


def milliseconds(plan: CropPlan) -> float:
    """A latency like a measured one: by crops, and a little by tokens."""
    return 100.0 * plan.total_crops + 0.05 * plan.tokens.patch


def unknown(plan: CropPlan) -> None:
    """What is known of latency without a profile."""


def by_pixels(candidate: Candidate) -> ImageQuality:
    """A quality that grows with the retained px, as a measured one mostly does."""
    return ImageQuality(ssim=candidate.retained[0].pixels / PHOTO.pixels, psnr_db=30.0)


def judged(found, budget, quality=by_pixels):
    return [Judged(one, quality(one), budget.holds(one.plan, one.latency_ms)) for one in found]


@st.composite
def budgets(draw):
    latency_ms = draw(st.none() | st.floats(1, 3000))
    tokens = (
        draw(st.integers(1, 3000)) if latency_ms is None else draw(st.none() | st.integers(1, 3000))
    )
    return Budget(latency_ms, tokens)


@settings(max_examples=60)
@given(sizes, configs(largest=12), budgets(), strategies, mode_lists)
def test_every_candidate_plans_to_what_it_promises(image, config, budget, strategy, modes):
    """The size that is made, under the limit that is named, gets the tiling in the table."""
    for one in candidates(image, config, budget, milliseconds, strategy=strategy, modes=modes):
        limited = replace(config, max_crops=one.max_crops)
        assert make_plan(one.decision.size, limited) == one.plan
        assert one.latency_ms == milliseconds(one.plan)
        assert one.max_crops <= config.max_crops


@settings(max_examples=60)
@given(sizes, configs(largest=12), budgets(), strategies, mode_lists, st.data())
def test_what_is_taken_keeps_the_budget_and_nothing_within_it_is_better(
    image, config, budget, strategy, modes, data
):
    """Whatever the qualities are: never above the budget, never worse than another within it."""
    found = candidates(image, config, budget, milliseconds, strategy=strategy, modes=modes)
    drawn = [
        Judged(
            one,
            ImageQuality(ssim=data.draw(st.floats(0, 1)), psnr_db=None),
            budget.holds(one.plan, one.latency_ms),
        )
        for one in found
    ]
    try:
        table = choose(drawn, budget)
    except BudgetUnreachable:
        assert not any(one.within_budget for one in drawn)
        return
    (taken,) = [one for one in table if one.chosen]
    assert budget.holds(taken.candidate.plan, milliseconds(taken.candidate.plan))
    assert taken.ssim == max(one.ssim for one in table if one.within_budget)
    assert [one.candidate for one in table] == list(found)


@settings(max_examples=40)
@given(sizes, configs(largest=12), budgets(), st.data())
def test_the_pareto_front_is_what_nothing_beats(image, config, budget, data):
    """Off the front, and only there, one is beaten: nowhere better and somewhere worse."""
    found = candidates(image, config, budget, milliseconds)
    drawn = [
        Judged(one, ImageQuality(ssim=data.draw(st.sampled_from([0.2, 0.5, 0.9])), psnr_db=1), True)
        for one in found
    ]
    assume(drawn)

    def merits(one):
        return one.ssim, -one.candidate.latency_ms, -one.candidate.plan.tokens.prompt

    table = choose(drawn, budget)
    for one in table:
        beaten = any(
            merits(other) != merits(one)
            and all(a >= b for a, b in zip(merits(other), merits(one), strict=True))
            for other in table
        )
        assert one.pareto is not beaten


@settings(max_examples=40)
@given(configs(largest=12), budgets(), sizes)
def test_under_a_safe_limit_no_image_breaks_the_budget(config, budget, image):
    """And under the next higher one some image does. 1 is the least, though it breaks some."""
    limit = safe_limit(config, budget, milliseconds)

    def breaks(crops):
        plans = [make_plan(canvas_size(g, config), config) for g in canvas_grids(config)[crops]]
        return any(not budget.holds(plan, milliseconds(plan)) for plan in plans)

    assert limit == 1 or not breaks(limit)
    assert limit == config.max_crops or breaks(limit + 1) or breaks(1)
    try:
        plan = make_plan(image, replace(config, max_crops=limit))
    except CollapsedImage:
        return
    assert breaks(1) or budget.holds(plan, milliseconds(plan))


@settings(max_examples=40)
@given(sizes, configs(largest=12), budgets(), strategies)
def test_only_what_saves_something_is_a_candidate(image, config, budget, strategy):
    """Beside the image as it is: fewer crops or fewer tokens, and no pixel enlarged."""
    whole = as_it_is(image, config, budget, milliseconds)
    left = as_it_is(image, config, budget, milliseconds, strategy=strategy)
    assume(whole is not None)
    for one in candidates(image, config, budget, milliseconds, strategy=strategy, modes=ALL_MODES):
        assert not one.decision.upscaled
        assert one == left or (
            one.plan.total_crops < whole.plan.total_crops
            or one.plan.tokens.prompt < whole.plan.tokens.prompt
        )


@settings(max_examples=40)
@given(sizes, configs(largest=12), budgets(), mode_lists)
def test_whatever_saves_something_is_a_candidate(image, config, budget, modes):
    """Fewer crops alone suffice, and so do fewer tokens alone: no way is left out."""
    whole = as_it_is(image, config, budget, milliseconds)
    assume(whole is not None)
    found = candidates(image, config, budget, milliseconds, modes=modes)
    listed = {(one.mode, one.plan) for one in found}
    for mode in modes:
        for decision in ways_to_resize(image, config, mode, upscale="never"):
            plan = make_plan(decision.size, config)
            fewer = plan.total_crops < whole.plan.total_crops
            shorter = plan.tokens.prompt < whole.plan.tokens.prompt
            if (fewer or shorter) and decision.size != image:
                assert (mode, plan) in listed
    for max_crops in range(1, config.max_crops):
        grid = select_tiling(image, replace(config, max_crops=max_crops))
        if grid != whole.plan.grid:
            assert any(one.mode == "max_crops" and one.plan.grid == grid for one in found)


def test_fewer_crops_with_more_tokens_are_a_candidate():
    """Eleven crops of a strip have more tokens than twelve of 3x4, and may still be quicker."""
    budget = Budget(latency_ms=5000)
    found = candidates(PHOTO, MOLMO1, budget, milliseconds, modes=("pad",))
    eleven = [one for one in found if one.mode == "pad" and one.plan.grid.crops == 11]
    assert [one.plan.tokens.prompt > make_plan(PHOTO, MOLMO1).tokens.prompt for one in eleven] == [
        True
    ]


@settings(max_examples=40)
@given(sizes, configs(largest=12), budgets())
def test_a_hybrid_has_one_limit_for_all_images(image, config, budget):
    """Every candidate names it, so that it can be set once at the server."""
    found = candidates(image, config, budget, milliseconds, strategy="hybrid")
    assert {one.max_crops for one in found} <= {safe_limit(config, budget, milliseconds)}


def test_a_photo_gets_the_best_quality_that_the_budget_allows():
    """4:3 reaches 1, 2, 4, 6 and 9 crops below its 12; 800 ms are enough for 6."""
    budget = Budget(latency_ms=800)
    table = choose(judged(candidates(PHOTO, MOLMO1, budget, milliseconds), budget), budget)
    (taken,) = [one for one in table if one.chosen]
    assert (taken.candidate.mode, taken.candidate.plan.grid) == ("fit", Grid(2, 3))
    assert {one.candidate.plan.grid.crops for one in table if one.candidate.mode == "fit"} == {
        1,
        2,
        4,
        6,
        9,
    }


def test_limiting_max_crops_leaves_the_image_alone_and_names_the_lowest_limit():
    """Several limits come to the same plan; the lowest of them is exact."""
    budget = Budget(tokens=700)
    found = candidates(PHOTO, MOLMO1, budget, unknown, strategy="max_crops")
    assert {one.mode for one in found} == {"max_crops", "unchanged"}
    for one in found:
        assert one.decision.size == PHOTO
        assert one.max_crops == (12 if one.mode == "unchanged" else one.plan.grid.crops)


def test_below_the_threshold_the_limit_is_what_is_left():
    """The image is not made worse than asked for: the model is told to look at less of it."""
    budget = Budget(latency_ms=800)
    found = judged(candidates(PHOTO, MOLMO1, budget, milliseconds), budget)
    table = choose(found, budget, quality_threshold=0.9)
    (taken,) = [one for one in table if one.chosen]
    assert taken.candidate.mode == "max_crops"
    assert taken.candidate.decision.size == PHOTO


def test_a_quality_at_the_threshold_passes_and_one_below_it_does_not():
    """Of an image that is made; one that is left alone passes in any case."""
    found = candidates(PHOTO, MOLMO1, TOKENS, milliseconds)
    for one in found:
        quality = Judged(one, ImageQuality(ssim=0.9, psnr_db=None), within_budget=True)
        unmeasured = Judged(one, None, within_budget=True)
        left_alone = one.mode in ("unchanged", "max_crops")
        assert quality.passes(None)
        assert quality.passes(0.9)
        assert quality.passes(nextafter(0.9, 1)) is left_alone
        assert unmeasured.passes(0.9) is left_alone
    assert {one.mode for one in found} >= {"unchanged", "max_crops", "fit"}


def test_without_the_limit_a_threshold_that_nothing_reaches_is_refused():
    """With the best that could be had, and both figures."""
    budget = Budget(latency_ms=800)
    found = judged(candidates(PHOTO, MOLMO1, budget, milliseconds, strategy="resize"), budget)
    with pytest.raises(BudgetUnreachable, match=r"SSIM of 0\.\d+, below the threshold") as error:
        choose(found, budget, quality_threshold=0.9)
    assert error.value.facts["best"]["mode"] == "fit"
    assert error.value.facts["limit"] == 0.9
    assert error.value.facts["actual"] < 0.9


def test_a_budget_below_everything_is_refused_with_the_cheapest():
    """The error says what the least would cost."""
    budget = Budget(latency_ms=50)
    found = judged(candidates(PHOTO, MOLMO1, budget, milliseconds), budget)
    with pytest.raises(BudgetUnreachable, match="nothing keeps 50 ms at p95") as error:
        choose(found, budget)
    assert error.value.facts["limit"] == 50
    assert error.value.facts["actual"] == min(one.candidate.latency_ms for one in found)


def test_an_unknown_latency_keeps_no_latency_budget():
    """Not known is not cheap; and without such a budget it does not matter."""
    plan = make_plan(PHOTO, MOLMO1)
    assert not Budget(latency_ms=1e9).holds(plan, None)
    assert Budget(tokens=plan.tokens.prompt).holds(plan, None)


def test_a_budget_needs_a_limit():
    """Without one there is nothing to keep."""
    with pytest.raises(InvalidConfig, match="latency_budget_ms"):
        Budget()


def test_a_plan_at_a_limit_keeps_it_and_one_beyond_it_does_not():
    plan = make_plan(PHOTO, MOLMO1)
    tokens = plan.tokens.prompt
    assert Budget(100.0, tokens).holds(plan, 100.0)
    assert not Budget(100.0, tokens).holds(plan, nextafter(100.0, inf))
    assert not Budget(100.0, tokens - 1).holds(plan, 100.0)


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        ("latency_budget_ms", {"latency_ms": 0.0}),
        ("latency_budget_ms", {"latency_ms": inf}),
        ("latency_budget_ms", {"latency_ms": nan}),
        ("max_tokens", {"tokens": 0}),
        ("percentile", {"tokens": 1, "percentile": 0}),
        ("percentile", {"tokens": 1, "percentile": 100}),
    ],
)
def test_a_limit_out_of_range_is_refused_by_its_name(parameter, given):
    with pytest.raises(InvalidConfig, match=parameter) as refused:
        Budget(**given)
    assert refused.value.facts["parameter"] == parameter


@settings(max_examples=40)
@given(sizes, configs(largest=12), mode_lists, st.sampled_from(["never", "allow"]))
def test_what_is_retained_is_never_larger_than_what_was_placed(image, config, modes, upscale):
    """On a canvas that enlarges, too: a side is retained as it was placed, or smaller."""
    for one in candidates(image, config, TOKENS, milliseconds, modes=modes, upscale=upscale):
        shown, _ = one.retained
        placed, canvas = one.decision.placed, one.plan.canvas
        for side, before, scale in (
            (shown.width, placed.width, canvas.scale_x),
            (shown.height, placed.height, canvas.scale_y),
        ):
            assert 1 <= side <= max(1, round(before))
            assert scale >= 1 or side == max(1, round(before * scale))
            assert scale < 1 or side == max(1, round(before))


def test_of_equal_quality_what_changes_least_is_taken():
    """A resized image needs nothing of the server, so it comes before limiting ``max_crops``."""
    budget = Budget(latency_ms=800)

    def all_alike(candidate):
        return ImageQuality(ssim=0.5, psnr_db=20.0)

    found = judged(candidates(PHOTO, MOLMO1, budget, milliseconds), budget, all_alike)
    (taken,) = [one for one in choose(found, budget) if one.chosen]
    assert taken.candidate.mode == "fit"
    within = [one for one in found if one.within_budget and one.candidate.mode == "fit"]
    assert taken.candidate.latency_ms == min(one.candidate.latency_ms for one in within)


def test_an_image_within_the_budget_is_left_alone_if_nothing_else_is_better():
    """Equal quality for less money is still a change."""
    budget = Budget(latency_ms=5000)
    found = judged(
        candidates(PHOTO, MOLMO1, budget, milliseconds),
        budget,
        lambda candidate: ImageQuality(ssim=0.5, psnr_db=20.0),
    )
    (taken,) = [one for one in choose(found, budget) if one.chosen]
    assert taken.candidate.mode == "unchanged"
    assert taken.candidate.latency_ms == max(one.candidate.latency_ms for one in found)
