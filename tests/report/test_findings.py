from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.latency.latency import Latency
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.report.figures.averages import plan_each
from app.report.figures.overlap_ranges import (
    CLAIMS,
    Claim,
    ShapeRow,
    compare_with_published,
    shape_rows,
)
from app.report.figures.set_statistics import set_statistics
from app.report.findings import findings

COCO = Path(__file__).parents[1] / "vectors" / "coco_val2017_sizes.json"
CONFIGS = st.builds(
    make_config, st.sampled_from(list(FAMILIES.values())), max_crops=st.sampled_from([1, 5, 12, 24])
)
SETS = st.lists(st.builds(Size, st.integers(30, 3000), st.integers(30, 3000)), min_size=1)
DEFAULT = make_config(FAMILIES["molmo-7b-d-0924"])


def found(sizes, config=DEFAULT):
    return set_statistics(sizes, config, lambda _: Latency("none", "none"))


@given(SETS, CONFIGS)
def test_findings_are_sentences_about_any_set(sizes, config):
    """No figure that is not there, no empty list, no number that is none."""
    made = findings(found(sizes, config), config)
    assert made
    for one in made:
        assert one.text[0].isupper() or one.text[0].isdigit() or one.text.startswith("max_crops")
        assert not re.search(r"\b1 (images|grid crops)\b|\b[02-9] (image|grid crop)\b", one.text)
        assert one.text.endswith(".")
        assert not re.search(r"\bNone\b|\bnan\b|\binf\b|  |\(\)", one.text)
        assert all(isinstance(value, int | float | str) for value in one.values.values())


def test_what_is_said_of_coco_is_computed_from_it():
    """The most common count, the mean cost and the overlap of the most common tiling."""
    sizes = [Size(w, h) for h, w in json.loads(COCO.read_text())]
    said = " ".join(one.text for one in findings(found(sizes), DEFAULT))
    for fact in ("3,925 of 5,000 images (78.5%)", "2x3 (2,957) and 3x2 (968)", "6.68 crops"):
        assert fact in said
    assert "2x3, the tiling of 2,957 of 5,000 images (59.1%), has 42.9% and 1.54." in said


def said(sizes, config=DEFAULT):
    return " ".join(one.text for one in findings(found(sizes, config), config))


SMALL, WIDE, PHOTO, LARGE = Size(300, 200), Size(560, 300), Size(640, 480), Size(4000, 3000)


@pytest.mark.parametrize(
    ("sizes", "config", "facts"),
    [
        pytest.param(
            [PHOTO],
            DEFAULT,
            [
                "The one image gets 6 grid crops and the global one, 7 in all, tiled 2x3 (1).",
                "It costs 740 prompt tokens.",
                "No pixel is lost",
                "is reached by no image.",
            ],
            id="one image",
        ),
        pytest.param(
            [LARGE],
            DEFAULT,
            [
                "The one image is shown to the model smaller than it is.",
                "The limit of 12 grid crops is reached by the one image.",
            ],
            id="one image that is reduced",
        ),
        pytest.param(
            [PHOTO] * 3,
            DEFAULT,
            ["All 3 images get 6 grid crops and the global one, 7 in all, tiled 2x3 (3)."],
            id="all alike",
        ),
        pytest.param(
            [SMALL, WIDE, PHOTO],
            DEFAULT,
            [
                "Most common are 1, 2 and 6 grid crops (2, 3 and 7 in all), with 1 image each.",
                "The range is 1 to 6 grid crops.",
            ],
            id="no number more common than another",
        ),
        pytest.param(
            [SMALL, SMALL, PHOTO],
            DEFAULT,
            ["Most common is 1 grid crop and the global one, 2 in all: 2 of 3 images (66.7%)"],
            id="one crop",
        ),
        pytest.param(
            [SMALL, SMALL],
            DEFAULT,
            ["No patch is in more than one grid crop.", "the redundancy is 1.00×, within 1.00–"],
            id="nothing overlaps",
        ),
        pytest.param(
            [LARGE, PHOTO],
            make_config(DEFAULT.family, max_crops=1),
            [
                "All 2 images are shown to the model smaller than they are.",
                "The limit of 1 grid crop is reached by all 2 images.",
            ],
            id="one crop at most",
        ),
        pytest.param(
            [PHOTO, Size(1, 4000)],
            DEFAULT,
            ["1 image is too narrow for Molmo"],
            id="one that collapses",
        ),
    ],
)
def test_findings_are_true_of_odd_sets(sizes, config, facts):
    text = said(sizes, config)
    for fact in facts:
        assert fact in text, text


@given(SETS, CONFIGS)
def test_an_image_is_reduced_if_its_canvas_shows_it_smaller(sizes, config):
    """Even one of many: a mean of 100% hides it, the finding must not."""
    plans = [make_plan(size, config) for size in sizes]
    reduced = [plan for plan in plans if min(plan.canvas.scale_x, plan.canvas.scale_y) < 1]
    assert found(sizes, config).reduced == len(reduced)
    assert ("No pixel is lost" in said(sizes, config)) == (not reduced)


def test_margins_that_are_left_out_save_work_where_crops_overlap():
    """640x480 gets 2x2 instead of 2x3 without margins; one that is one crop stays what it is."""
    assert "103% of the prompt tokens for 74% of the work" in said([PHOTO])
    none = make_config(DEFAULT.family, overlap_margins=(0, 0))
    assert "Without overlap margins" not in said([PHOTO], none)


def test_numbers_that_no_image_gets_are_told_in_short():
    many = [PHOTO] * 30
    assert "No image gets 1, 2, 4, 5 or 7 to 12 grid crops:" in said([*many, Size(784, 300)])
    two = make_config(DEFAULT.family, max_crops=3)
    assert "No image gets 1 grid crop:" in said([*many, WIDE, Size(784, 300)], two)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([Size(30_000, 3_000)], "<0.1% of the pixels, fewer than max_crops=4 (0.1%)"),
        ([Size(12_000, 8_000)], "0.2% of the pixels, as many as max_crops=5"),
    ],
)
def test_few_pixels_are_not_as_many_as_other_few(sizes, told):
    """Where less than 1 % is kept by either setting, it may still be nine times as much."""
    assert told in said(sizes)


def claimed(seen, published=(0.3, 0.4)):
    row = ShapeRow("square", 2, 1, (0.36, 0.49), (1.4, 1.7), seen, seen)
    return next(
        one.verdict
        for one in compare_with_published([row])
        if one.claim == Claim("overlap_ratio", "square", published)
    )


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ((0.3, 0.4), "within"),
        ((0.35, 0.41), "partly"),
        ((0.2, 0.5), "partly"),
        ((0.41, 0.5), "outside"),
        ((0.0, 0.29), "outside"),
        (None, "no image"),
    ],
)
def test_a_verdict_is_how_the_images_range_lies_in_the_published_one(seen, verdict):
    assert claimed(seen) == verdict


def test_every_published_figure_is_compared():
    """A row of two crops shares 20 % of its patches, more than was published for any row."""
    rows = shape_rows(tuple(plan_each({Size(560, 336): 1}, DEFAULT)), DEFAULT)
    compared = compare_with_published(rows)
    assert [one.claim for one in compared] == list(CLAIMS)
    assert compared[0].seen == (0.2, 0.2)
    assert compared[0].verdict == "outside"
    assert compared[2].allowed[1] == pytest.approx(1.714, abs=5e-4)
