"""Pictures show boundaries on edges, padding marked, and the classes of the heat map."""

import io

import numpy as np
import pytest
from PIL import Image

from app.core.plan.geometry import Box
from app.imaging.pictures import draw
from app.imaging.pictures.colours import crop_styles
from app.imaging.pictures.coverage import coverage_classes
from app.imaging.pictures.layout import Page
from app.imaging.pictures.sheet import drawing
from app.imaging.pictures.view import View, drawn_size
from tests.imaging.pictures.cases import HOSTILE, picture_for, plan_of
from tests.imaging.pictures.vision import rgb

SIDE = 1200


def pixels(kind, plan, image) -> np.ndarray:
    with Image.open(io.BytesIO(draw(kind, plan, image, side_px=SIDE))) as made:
        return np.asarray(made).astype(int)


def view_on_sheet(plan) -> View:
    """Return the place of the canvas on the sheets of ``crops`` and ``coverage``."""
    drawn = drawn_size(plan, SIDE)
    with drawing():
        return Page.begin(plan, SIDE, drawn.width).place(plan, drawn)


def near(made: np.ndarray, x: float, y: float, reach: int) -> np.ndarray:
    """The px around a place, shape [n, 3]."""
    left, top = max(0, round(x) - reach), max(0, round(y) - reach)
    return made[top : round(y) + reach + 1, left : round(x) + reach + 1].reshape(-1, 3)


def has(around: np.ndarray, colour: np.ndarray) -> bool:
    return bool((np.abs(around - colour).max(axis=1) <= 3).any())


@pytest.mark.parametrize("name", ["1x1", "2x2", "2x3", "3x4", "12x1", "half a crop",
                                  "no margins", "Molmo 2: 2x3"])  # fmt: skip
def test_each_crop_is_outlined_in_its_colour(name):
    """Along every edge, within a few px of where the plan has it, at places of all three thirds.

    Most of the places, as another crop's line, drawn later, may pass there.
    """
    plan = HOSTILE[name]
    made, view = pixels("crops", plan, picture_for(plan)), view_on_sheet(plan)
    for crop, style in zip(plan.crops(), crop_styles(plan.grid), strict=True):
        box = view.box(crop.canvas_box)
        colour = (rgb(style.colour) * 255).round()
        reach = round(min(16, (box.x1 - box.x0) / 4))
        edges = {
            "left": lambda part, box=box: (box.x0, box.y0 + part * (box.y1 - box.y0)),
            "right": lambda part, box=box: (box.x1, box.y0 + part * (box.y1 - box.y0)),
            "top": lambda part, box=box: (box.x0 + part * (box.x1 - box.x0), box.y0),
            "bottom": lambda part, box=box: (box.x0 + part * (box.x1 - box.x0), box.y1),
        }
        for edge, place in edges.items():
            found = [has(near(made, *place(part), reach), colour) for part in (0.2, 0.4, 0.6, 0.8)]
            assert sum(found) >= 3, (crop.index, edge)


def test_padding_is_black_and_striped():
    """Black as the model gets it, with grey stripes all over; and the picture is not."""
    plan = plan_of(300, 200)  # one crop: 56 px of padding above and below
    made, view = pixels("crops", plan, picture_for(plan)), view_on_sheet(plan)
    for y in (plan.canvas.pad_top / 2, plan.canvas.height - plan.canvas.pad_top / 2):
        for x in (70, 150, 250):
            place = view.box(Box(x, y, x, y))
            around = near(made, place.x0, place.y0, 12)
            assert (around.max(axis=1) < 10).any()
            assert (around.min(axis=1) > 80).any()
    middle = view.box(Box(100, 168, 100, 168))
    assert (near(made, middle.x0, middle.y0, 3).max(axis=1) > 60).all()


def test_a_black_picture_without_padding_is_not_striped():
    """Padding cannot be taken for a dark picture, nor the other way round."""
    plan = plan_of(336, 336)
    made = pixels("crops", plan, Image.new("RGB", (336, 336)))
    view = view_on_sheet(plan)
    place = view.box(Box(60, 60, 60, 60))
    assert (near(made, place.x0, place.y0, 20) == 0).all()


def test_overlaps_are_hatched_on_any_ground():
    """Two crops have lines on their overlap, four crops more, and one crop alone has none."""
    plan = plan_of(560, 560)
    view = view_on_sheet(plan)
    for grey in (0, 128, 255):
        made = pixels("crops", plan, Image.new("RGB", (560, 560), (grey,) * 3))

        def marked(x, y, made=made, grey=grey) -> float:
            place = view.box(Box(x, y, x, y))
            return float(
                (np.abs(near(made, place.x0, place.y0, 40) - grey).max(axis=1) > 25).mean()
            )

        alone, two, four = marked(60, 60), marked(280, 60), marked(280, 280)
        assert alone == 0
        assert two > 0.04
        assert four > 1.5 * two


def test_the_heat_map_has_the_colour_of_its_class():
    """Half the class, half the grey ground, in the middle of patches of each count."""
    plan = plan_of(560, 560)
    made, view = pixels("coverage", plan, None), view_on_sheet(plan)
    classes = {each.first: each.colour for each in coverage_classes([1, 2, 4])}
    for at, count in (((49, 63), 1), ((259, 63), 2), ((63, 259), 2), ((259, 259), 4)):
        x, y = (14 * (each // 14) + 7 for each in at)
        place = view.box(Box(x, y, x, y))
        expected = rgb(classes[count]) * 255 / 2 + 0x94 / 2
        assert np.abs(near(made, place.x0, place.y0, 2) - expected).max() <= 3, (at, count)


def test_the_heat_map_shows_the_picture():
    """Light places of the picture are lighter in the map than dark ones of the same class."""
    plan = plan_of(560, 560)
    halves = Image.new("RGB", (560, 560), (20, 20, 20))
    halves.paste((240, 240, 240), (0, 0, 560, 110))
    made, view = pixels("coverage", plan, halves), view_on_sheet(plan)
    light, dark = (view.box(Box(60, y, 60, y)) for y in (60, 160))
    lighter = near(made, light.x0, light.y0, 8).mean() - near(made, dark.x0, dark.y0, 8).mean()
    assert lighter > 60
