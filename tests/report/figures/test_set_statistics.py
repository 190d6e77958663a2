from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.profiles import entry, predict, profile

from app.core.control.retained import retained_pixels
from app.core.latency.latency import Latency
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.core.plan.work import plan_flops
from app.report.figures.cost_changes import shrunk
from app.report.figures.set_statistics import set_statistics

CONFIG = make_config(FAMILIES["molmo-7b-d-0924"])
COCO = Path(__file__).parents[2] / "vectors" / "coco_val2017_sizes.json"
SETS = st.lists(st.builds(Size, st.integers(30, 3000), st.integers(30, 3000)), min_size=1)


def no_latency(_):
    return Latency("none", "none")


@pytest.fixture(scope="module")
def coco():
    sizes = [Size(w, h) for h, w in json.loads(COCO.read_text())]
    return set_statistics(sizes, CONFIG, no_latency)


def test_the_counts_of_coco(coco):
    """As recorded with the reference code, the global crop included."""
    found = {row.total_crops: row.images for row in coco.counts}
    assert found == {2: 21, 3: 260, 4: 64, 5: 491, 7: 3925, 10: 239}
    assert sum(row.share for row in coco.counts) == pytest.approx(1)


@given(SETS)
def test_means_are_over_images_however_often_a_size_occurs(sizes):
    """Every figure is the mean of the images' own plans."""
    found = set_statistics([*sizes, *sizes[:3]], CONFIG, no_latency)
    plans = [make_plan(size, CONFIG) for size in [*sizes, *sizes[:3]]]
    mean, content = found.averages, found.content
    assert found.images == len(plans)
    assert mean.total_crops == pytest.approx(fmean(p.total_crops for p in plans))
    assert mean.prompt_tokens == pytest.approx(fmean(p.tokens.prompt for p in plans))
    assert mean.patch_tokens == pytest.approx(fmean(p.tokens.patch for p in plans))
    assert mean.gflop == pytest.approx(fmean(plan_flops(p) / 1e9 for p in plans))
    assert mean.overlap_ratio == pytest.approx(fmean(p.overlap().overlap_ratio for p in plans))
    assert mean.redundancy_ratio == pytest.approx(
        fmean(p.overlap().redundancy_ratio for p in plans)
    )
    assert mean.kept_ratio == pytest.approx(
        fmean(retained_pixels(p) / p.image.pixels for p in plans)
    )
    assert content.overlap_ratio == pytest.approx(
        fmean(p.content_overlap().overlap_ratio for p in plans)
    )
    assert content.encoder_redundancy == pytest.approx(fmean(p.encoder_redundancy() for p in plans))
    assert mean.latency_ms is None


@given(SETS)
def test_every_image_has_one_tiling(sizes):
    """Counts, tilings and shapes each share all images out."""
    found = set_statistics(sizes, CONFIG, no_latency)
    often = Counter(make_plan(size, CONFIG).grid for size in sizes)
    assert {row.grid: row.images for row in found.tilings if row.images} == often
    for rows in (found.counts, found.tilings, found.shapes):
        assert sum(row.images for row in rows) == len(sizes)
    for row in found.tilings:
        assert make_plan(row.size, CONFIG).grid == row.grid


@given(SETS)
def test_each_setting_is_the_set_planned_under_it(sizes):
    """And the one in force is what the set costs now."""
    found = set_statistics(sizes, CONFIG, no_latency)
    for row in found.settings:
        if row.is_current:
            assert row.averages == found.averages
            assert (row.changed, row.needs) == (0, "nothing")
        if row.method == "max_crops":
            other = replace(CONFIG, max_crops=int(row.setting))
            plans = [make_plan(size, other) for size in sizes]
            now = [make_plan(size, CONFIG).grid for size in sizes]
            assert row.averages.total_crops == pytest.approx(fmean(p.total_crops for p in plans))
            assert row.changed == sum(
                plan.grid != grid for plan, grid in zip(plans, now, strict=True)
            )
    assert {row.method for row in found.settings if row.is_current} == {
        "max_crops",
        "resize",
        "overlap_margins",
        "crop_size_px",
    }


@given(st.builds(Size, st.integers(1, 5000), st.integers(1, 5000)), st.integers(1, 5000))
def test_a_limit_on_the_longer_side_is_kept(size, limit):
    """The aspect is kept to a px, and nothing is enlarged."""
    small = shrunk(size, limit)
    assert max(small.width, small.height) == min(limit, max(size.width, size.height))
    scale = max(small.width, small.height) / max(size.width, size.height)
    assert abs(small.width - size.width * scale) <= 1
    assert abs(small.height - size.height * scale) <= 1


def test_a_cliff_is_where_one_side_alone_changes_the_tiling():
    """337x337 costs 4 crops and one px less of a side 2; 336x336 is a cliff away from more."""
    found = set_statistics([Size(337, 337), Size(336, 336)], CONFIG, no_latency).cliffs
    assert (found.near, found.near_cheaper) == (2, 1)
    now, less = make_plan(Size(337, 337), CONFIG), make_plan(Size(336, 337), CONFIG)
    assert found.mean_tokens_saved == now.tokens.prompt - min(
        less.tokens.prompt, make_plan(Size(337, 336), CONFIG).tokens.prompt
    )


@pytest.mark.parametrize(("width", "near"), [(576, 1), (577, 0)])
def test_an_image_is_near_a_cliff_up_to_16_px(width, near):
    """560x480 has another tiling: 16 px from 576, 17 px from 577."""
    assert make_plan(Size(560, 480), CONFIG).grid != make_plan(Size(561, 480), CONFIG).grid
    assert set_statistics([Size(width, 480)], CONFIG, no_latency).cliffs.near == near


def test_margins_in_force_are_compared_however_wide():
    """Others end at half of a crop."""
    config = replace(CONFIG, overlap_margins=(8, 8))
    rows = set_statistics([Size(640, 480)], config, no_latency).settings
    tried = {row.setting: row.is_current for row in rows if row.method == "overlap_margins"}
    assert tried["8,8"]
    assert all(sum(map(int, one.split(","))) <= 12 for one in tried if one != "8,8")


def test_images_that_collapse_are_counted_and_left_out():
    found = set_statistics([Size(640, 480), Size(1, 4000)], CONFIG, no_latency)
    assert (found.images, found.collapsed) == (1, 1)


def test_a_set_without_a_plan_is_an_error():
    with pytest.raises(ValueError, match="something"):
        set_statistics([Size(1, 4000)], CONFIG, no_latency)


def test_latency_is_the_mean_of_predicted_medians():
    """Known of every image or not said at all."""
    measured = profile(entry(1, 1, 20.0), entry(2, 2, 50.0), entry(2, 3, 70.0))
    small, large = [Size(640, 480), Size(300, 300)], Size(4000, 3000)

    def of(sizes):
        return set_statistics(sizes, CONFIG, lambda plan: predict(measured, plan)).averages

    assert of(small).latency_ms == (71 + 21) / 2
    assert of([*small, large]).latency_ms is None
