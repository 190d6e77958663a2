"""Texts do not lie on one another nor off the sheet, whatever the plan."""

from itertools import combinations
from typing import get_args

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from app.core.plan.geometry import Box
from app.imaging.pictures import MAX_SIDE_PX, MIN_SIDE_PX, Kind, lay_out
from app.imaging.pictures.sheet import Sheet, drawing
from tests.imaging.pictures.cases import HOSTILE, plan_of

KINDS = get_args(Kind)
ASCENT, DESCENT = 0.76, 0.24
"""The font takes so much above and below the baseline, in sizes of the text."""


def texts_of(sheet: Sheet) -> dict[Text, Box]:
    """Every line of text on a sheet, and its box by the widths that the layout counts on."""
    boxes = {}
    for text in sheet.figure.get_children():
        if not isinstance(text, Text) or not text.get_text():
            continue
        (x, y), size = text.get_position(), text.get_fontsize()
        font = text.get_fontproperties()
        width, _, _ = text_to_path.get_text_width_height_descent(text.get_text(), font, False)
        left = x - {"left": 0, "center": 0.5, "right": 1}[text.get_horizontalalignment()] * width
        boxes[text] = Box(left, y - ASCENT * size, left + width, y + DESCENT * size)
    return boxes


def words_of(kind, plan) -> list[str]:
    with drawing():
        return [text.get_text() for text in texts_of(lay_out(kind, plan, None, 1400))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(HOSTILE))
def test_texts_keep_apart_and_on_the_sheet(name, kind):
    """At the smallest side and at a usual one."""
    for side_px in (MIN_SIDE_PX, 1000):
        with drawing():
            sheet = lay_out(kind, HOSTILE[name], None, side_px)
            boxes = texts_of(sheet)
        assert boxes
        for text, box in boxes.items():
            assert box.intersect(Box.of(sheet.size)) == box, text
        for (one, its_box), (other, other_box) in combinations(boxes.items(), 2):
            common = its_box.intersect(other_box)
            assert common is None or common.area < 0.1, (one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["1x1", "2x3", "12x1", "1x12", "64x1", "Molmo 2: a line"])
def test_a_sheet_is_bounded_by_its_side(name, kind):
    """The drawing, and a frame of text that does not grow with the plan: memory is bounded."""
    for side_px in (MIN_SIDE_PX, MAX_SIDE_PX):
        with drawing():
            size = lay_out(kind, HOSTILE[name], None, side_px).size
        assert size.width <= max(460, 1.1 * side_px)
        assert size.height <= 1.1 * side_px + max(460, 0.35 * side_px)


@pytest.mark.parametrize("kind", KINDS)
def test_the_boxes_of_texts_are_what_matplotlib_draws(kind):
    """So that what the other tests compare is what is seen; hinting widens it by a few in 1,000."""
    with drawing():
        sheet = lay_out(kind, plan_of(640, 427), None, 1000)
        FigureCanvasAgg(sheet.figure).draw()
        for text, box in texts_of(sheet).items():
            extent = text.get_window_extent()
            slack = 1.5 + 0.005 * (box.x1 - box.x0)
            assert extent.x0 >= box.x0 - slack, text
            assert extent.x1 <= box.x1 + slack, text
            assert sheet.size.height - extent.y1 >= box.y0 - 1.5, text
            assert sheet.size.height - extent.y0 <= box.y1 + 1.5, text


def test_every_figure_of_the_overlap_is_on_the_statistics():
    """The plan's own values, in the words they are written with."""
    plan = plan_of(640, 427)
    texts = words_of("statistics", plan)
    for overlap in (plan.overlap(), plan.content_overlap()):
        assert f"{overlap.total_patches:,}" in texts
        assert f"{overlap.distinct_patches:,}" in texts
        assert f"{overlap.overlapped_patches:,}" in texts
        assert f"{overlap.overlap_ratio:.1%}" in texts
        assert f"{overlap.average_overlap_count:.3f}" in texts
        assert f"{overlap.average_overlapped_count:.3f}" in texts
        assert str(overlap.max_overlap_count) in texts
    assert f"{plan.encoder_redundancy():.3f}" in texts


def test_what_was_configured_is_written():
    """Whatever is not the family's own: a picture by itself says of what it is."""
    changed = {"crop_size_px": 224, "overlap_margins": (2, 6), "max_crops": 20}
    own, other = (
        " ".join(words_of("crops", plan_of(900, 700, **options))) for options in ({}, changed)
    )
    assert "molmo-7b-d-0924, max crops 12" in own
    assert "margins" not in own
    for text in ("max crops 20", "margins 2,6", "crops of 224 px"):
        assert text in other


@pytest.mark.parametrize("name", ["2x3", "1x12", "half a crop", "8x8", "Molmo 2: 2x3"])
def test_every_crop_is_numbered(name):
    """Once on the picture; once more on its tile in a comparison."""
    plan = HOSTILE[name]
    texts, both = words_of("crops", plan), words_of("comparison", plan)
    for index in range(plan.grid.crops):
        assert texts.count(str(index)) == 1
        assert both.count(str(index)) == 2
    assert both.count("global") == 1
