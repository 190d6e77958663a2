from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.plan.geometry import Box
from app.report import words


@pytest.mark.parametrize(
    ("ratio", "digits", "text"),
    [
        (0, 1, "0.0%"),
        (0.0001, 1, "<0.1%"),
        (0.42857, 1, "42.9%"),
        (0.42857, 0, "43%"),
        (0.99999, 1, ">99.9%"),
        (0.999, 0, ">99%"),
        (1, 1, "100.0%"),
        (1.03, 0, "103%"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(ratio, digits, text):
    assert words.percent(ratio, digits) == text


@given(st.floats(0, 1), st.integers(0, 3))
def test_only_nothing_is_0_percent_and_only_all_is_100(ratio, digits):
    shown = words.percent(ratio, digits)
    assert (float(shown.strip("<>%")) == 0) == (ratio == 0)
    assert (float(shown.strip("<>%")) == 100) == (ratio == 1)


def test_a_range_of_one_value_is_that_value():
    """Also where its ends are written alike; and what is not there is a dash."""
    assert words.span((0.36, 0.49), "%") == "36.0–49.0%"
    assert words.span((0.36, 0.36001), "%") == "36.0%"
    assert words.span((1.2, 1.714), "×") == "1.20–1.71×"
    assert words.span(None, "%") == words.percent(None) == words.ms(None) == words.NONE


def test_boxes_have_fractions_only_where_they_are_no_whole_px():
    assert words.box(Box(0, 0, 274.2857, 336)) == "0, 0 – 274.3, 336"
    assert words.box(None) == "all padding"


def test_words_agree_with_their_numbers():
    assert words.plural(1, "image") == "1 image"
    assert words.plural(5000, "image") == "5,000 images"
    assert words.listed(["1", "2", "4"]) == "1, 2 and 4"
    assert words.listed(["1"]) == "1"
    assert [words.images_of(n, 3) for n in (0, 1, 3)] == [
        "no image",
        "1 of 3 images (33.3%)",
        "all 3 images",
    ]
    assert words.images_of(1, 1) == "the one image"


def test_numbers_in_a_row_are_one_word():
    assert words.runs([1, 2, 3, 5, 6, 8]) == ["1 to 3", "5", "6", "8"]
    assert words.runs([]) == []
