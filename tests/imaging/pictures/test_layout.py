"""Texts do not lie on one another nor off the sheet, whatever the plan."""

from itertools import combinations
from typing import get_args

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from app.imaging.pictures import MAX_SIDE_PX, MIN_SIDE_PX, Kind, lay_out
from app.imaging.pictures.engine import drawing
from app.imaging.pictures.sheet import Sheet
from tests.imaging.pictures.cases import HOSTILE, plan_of

KINDS = get_args(Kind)


def sheet_of(kind, plan, side_px) -> Sheet:
    return lay_out(kind, plan, None, side_px)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(HOSTILE))
def test_texts_keep_apart_and_on_the_sheet(name, kind):
    """At the smallest side and at a usual one."""
    for side_px in (MIN_SIDE_PX, 1000):
        with drawing():
            sheet = sheet_of(kind, HOSTILE[name], side_px)
        for written in sheet.texts:
            box = written.box
            assert box.x0 >= 0, written
            assert box.y0 >= 0, written
            assert box.x1 <= sheet.size.width, written
            assert box.y1 <= sheet.size.height, written
        for one, other in combinations(sheet.texts, 2):
            common = one.box.intersect(other.box)
            assert common is None or common.area < 0.1, (one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["1x1", "2x3", "12x1", "1x12", "64x1", "Molmo 2: a line"])
def test_a_sheet_is_bounded_by_its_side(name, kind):
    """The drawing, and a frame of text that does not grow with the plan: memory is bounded."""
    for side_px in (MIN_SIDE_PX, MAX_SIDE_PX):
        with drawing():
            size = sheet_of(kind, HOSTILE[name], side_px).size
        assert size.width <= max(460, 1.1 * side_px)
        assert size.height <= 1.1 * side_px + max(460, 0.35 * side_px)


@pytest.mark.parametrize("kind", KINDS)
def test_the_boxes_of_texts_are_what_matplotlib_draws(kind):
    """So that what the other tests compare is what is seen; hinting widens it by a few in 1,000."""
    plan = plan_of(640, 427)
    with drawing():
        sheet = sheet_of(kind, plan, 1000)
        assert sheet.texts
        figure = sheet.figure()
        FigureCanvasAgg(figure).draw()
        drawn = [each for each in figure.get_children() if isinstance(each, Text)]
        for written, text in zip(sheet.texts, drawn, strict=True):
            extent, box = text.get_window_extent(), written.box
            slack = 1.5 + 0.005 * (box.x1 - box.x0)
            assert extent.x0 >= box.x0 - slack, written
            assert extent.x1 <= box.x1 + slack, written
            assert sheet.size.height - extent.y1 >= box.y0 - 1.5, written
            assert sheet.size.height - extent.y0 <= box.y1 + 1.5, written


def test_every_figure_of_the_overlap_is_on_the_statistics():
    """The plan's own values, in the words they are written with."""
    plan = plan_of(640, 427)
    with drawing():
        texts = [written.text for written in sheet_of("statistics", plan, 1400).texts]
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
    with drawing():
        own, other = (
            " ".join(written.text for written in sheet_of("crops", plan, 1400).texts)
            for plan in (plan_of(900, 700), plan_of(900, 700, crop_size_px=224,
                                                    overlap_margins=(2, 6), max_crops=20))
        )  # fmt: skip
    assert "molmo-7b-d-0924, max crops 12" in own
    assert "margins" not in own
    for text in ("max crops 20", "margins 2,6", "crops of 224 px"):
        assert text in other


@pytest.mark.parametrize("name", ["2x3", "1x12", "half a crop", "8x8", "Molmo 2: 2x3"])
def test_every_crop_is_numbered(name):
    """Once on the picture; once more on its tile in a comparison."""
    plan = HOSTILE[name]
    with drawing():
        texts = [written.text for written in sheet_of("crops", plan, 1400).texts]
        both = [written.text for written in sheet_of("comparison", plan, 1400).texts]
    for index in range(plan.grid.crops):
        assert texts.count(str(index)) == 1
        assert both.count(str(index)) == 2
    assert both.count("global") == 1
