"""Crops that touch look different, to the colour-blind, too."""

import numpy as np
import pytest

from app.core.plan.config import MAX_CROPS_LIMIT
from app.core.plan.geometry import Grid
from app.imaging.pictures.colours import PALETTE, crop_styles
from app.imaging.pictures.coverage import coverage_classes
from tests.imaging.pictures.vision import VISIONS, least_differences, linear, rgb, seen

GRIDS = [
    Grid(rows, cols)
    for rows in range(1, MAX_CROPS_LIMIT + 1)
    for cols in range(1, MAX_CROPS_LIMIT // rows + 1)
]


@pytest.fixture(scope="module")
def differences() -> dict[tuple[str, str], float]:
    table = least_differences(list(PALETTE))
    return {(a, b): table[i, j] for i, a in enumerate(PALETTE) for j, b in enumerate(PALETTE)}


def test_touching_crops_differ_by_20_for_everyone(differences):
    """In every grid that can be planned, of neighbours along rows, columns and diagonals."""
    for grid in GRIDS:
        styles = crop_styles(grid)
        for row in range(grid.rows):
            for col in range(grid.cols):
                one = styles[row * grid.cols + col].colour
                for down, across in ((0, 1), (1, -1), (1, 0), (1, 1)):
                    if row + down < grid.rows and 0 <= col + across < grid.cols:
                        other = styles[(row + down) * grid.cols + col + across].colour
                        assert differences[one, other] >= 20, (grid, row, col)


def test_no_two_crops_share_colour_and_dash():
    """Each crop of a plan can be told from every other, whichever grid it is."""
    for grid in GRIDS:
        styles = crop_styles(grid)
        assert len({(style.colour, style.dash) for style in styles}) == grid.crops


def test_up_to_as_many_crops_as_colours_each_has_its_own():
    """A colour is used again, with another dash, only when all others are in use."""
    for grid in GRIDS:
        if grid.crops <= len(PALETTE):
            assert len({style.colour for style in crop_styles(grid)}) == grid.crops


def test_numbers_can_be_read_on_their_colour():
    """WCAG 2 asks for a contrast of 4.5 to 1 of text; of black and white, the ink has more."""
    for style in crop_styles(Grid(3, 5)):
        luminance = float(np.dot(linear(rgb(style.colour)), (0.2126, 0.7152, 0.0722)))
        contrast = {"#000000": (luminance + 0.05) / 0.05, "#ffffff": 1.05 / (luminance + 0.05)}
        assert contrast[style.ink] == max(contrast.values()) >= 4.5, style


@pytest.mark.parametrize("counts", [[1, 2, 4], [1, 2, 3, 4, 6, 9], list(range(1, 65))])
def test_coverage_classes_rise_in_lightness_for_everyone(counts):
    """More crops are lighter, in steps that can be seen, whoever looks; in grey as well."""
    colours = np.array([rgb(each.colour) for each in coverage_classes(counts)])
    for vision in VISIONS.values():
        assert (np.diff(seen(colours, vision)[:, 0]) > 5).all()


def test_the_usual_coverage_classes_differ_by_20_for_everyone():
    """1, 2 and 4 crops, which is all that the released margins give."""
    classes = coverage_classes([1, 2, 4])
    apart = least_differences([each.colour for each in classes])
    assert apart[np.triu_indices(3, 1)].min() >= 20


def test_coverage_classes_hold_every_count_once():
    """However many different counts there are, each is in one class, and there are at most 7."""
    for most in range(1, 65):
        counts = list(range(1, most + 1))
        classes = coverage_classes(counts)
        held = [count for each in classes for count in range(each.first, each.last + 1)]
        assert held == counts
        assert len(classes) <= 7


def test_usual_counts_have_the_same_colours_in_every_picture():
    """1, 2 and 4: so that two pictures can be compared."""
    alone = {each.first: each.colour for each in coverage_classes([1])}
    four = {each.first: each.colour for each in coverage_classes([1, 2, 4])}
    two = {each.first: each.colour for each in coverage_classes([1, 2])}
    assert {**alone, **two}.items() <= four.items()
