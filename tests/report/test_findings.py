from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.config import make_config
from app.core.families import FAMILIES
from app.core.geometry import Size
from app.core.latency import Latency
from app.report.averages import plan_all
from app.report.findings import findings
from app.report.published import CLAIMS, Claim, compare_with_published
from app.report.set_statistics import set_statistics
from app.report.shapes import ShapeRow, shape_rows

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
        assert one.text.endswith(".")
        assert not re.search(r"\bNone\b|\bnan\b|\binf\b|  |\(\)", one.text)
        assert all(isinstance(value, int | float | str) for value in one.values.values())


def test_what_is_said_of_coco_is_computed_from_it():
    """The most common count, the mean cost and the overlap of the most common tiling."""
    sizes = [Size(w, h) for h, w in json.loads(COCO.read_text())]
    said = " ".join(one.text for one in findings(found(sizes), DEFAULT))
    for fact in ("3,925 of 5,000 images (78.5%)", "2x3 (2,957) and 3x2 (968)", "6.68 crops"):
        assert fact in said
    assert "The most common tiling, 2x3, has 42.9% and 1.54." in said


def test_another_set_gives_other_findings():
    """They follow the data: what is lost to max_crops is said where something is."""
    small = " ".join(one.text for one in findings(found([Size(640, 480)]), DEFAULT))
    large = " ".join(one.text for one in findings(found([Size(4000, 3000)]), DEFAULT))
    assert "No pixel is lost" in small
    assert "No pixel is lost" not in large
    assert "costs detail" in large


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
    rows = shape_rows(plan_all({Size(560, 336): 1}, DEFAULT), DEFAULT)
    compared = compare_with_published(rows)
    assert [one.claim for one in compared] == list(CLAIMS)
    assert compared[0].seen == (0.2, 0.2)
    assert compared[0].verdict == "outside"
    assert compared[2].allowed[1] == pytest.approx(1.714, abs=5e-4)
