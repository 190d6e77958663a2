"""The files: of the promised form and size, the same every time, from any thread, whole alone."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
from PIL import Image

from app.core.errors import InvalidConfig
from app.imaging.pictures import (
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    NEEDS_PICTURE,
    Kind,
    draw,
    lay_out,
    load_ground,
)
from app.imaging.pictures.sheet import drawing
from app.imaging.read.header import look
from tests.imaging.pictures.cases import HOSTILE, picture_for, plan_of

KINDS = get_args(Kind)
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(HOSTILE))
def test_every_plan_can_be_drawn(name, kind):
    """As a PNG of the size that was laid out."""
    plan = HOSTILE[name]
    with drawing():
        sheet = lay_out(kind, plan, picture_for(plan), 300)
        data = sheet.png()
    with Image.open(io.BytesIO(data)) as made:
        made.load()
    assert (made.format, made.mode) == ("PNG", "RGB")
    assert made.size == (sheet.size.width, sheet.size.height)


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_can_be_drawn_without_a_picture(kind):
    """On a plain ground, and as large."""
    plan = plan_of(640, 427)
    files = [draw(kind, plan, image, side_px=300) for image in (None, picture_for(plan))]
    without, given = (Image.open(io.BytesIO(data)) for data in files)
    assert without.size == given.size
    assert (files[0] == files[1]) == (kind not in NEEDS_PICTURE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["1x1", "2x3", "12x1", "8x8", "Molmo 2: 2x3"])
def test_an_svg_is_whole_alone(name, kind):
    """Well-formed, of the same size as the PNG, titled, and nothing outside of it is named."""
    plan = HOSTILE[name]
    made = draw(kind, plan, picture_for(plan), form="svg", side_px=400)
    png = Image.open(io.BytesIO(draw(kind, plan, picture_for(plan), side_px=400)))
    root = ET.fromstring(made)
    assert (int(root.get("width")), int(root.get("height"))) == png.size
    assert str(plan.grid.crops) in root.find(f"{SVG}title").text
    assert b"<!DOCTYPE" not in made
    for element in root.iter():
        for attribute, value in element.items():
            if attribute == HREF:
                assert value.startswith(("#", "data:image/jpeg;base64,"))
            else:
                assert "url(" not in value or value.startswith("url(#"), value
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    crops = [each for each in ids if each.startswith("crop-")]
    expected = [f"crop-{index}" for index in range(plan.grid.crops)]
    assert crops == (expected if kind in ("crops", "comparison") else [])
    if kind == "comparison":
        assert [each for each in ids if each.startswith("tile-")] == [
            f"tile-{index}" for index in range(plan.grid.crops)
        ]


@pytest.mark.parametrize("form", ["png", "svg"])
@pytest.mark.parametrize("kind", KINDS)
def test_same_arguments_same_bytes(kind, form):
    """Whatever was drawn before, and by four threads at once."""
    plan, other = plan_of(640, 427), plan_of(300, 900)
    alone = draw(kind, plan, picture_for(plan), form=form, side_px=400)
    with ThreadPoolExecutor(4) as pool:
        plans = [plan, other] * 4
        made = list(pool.map(lambda each: draw(
            kind, each, picture_for(each), form=form, side_px=400), plans))  # fmt: skip
    assert set(made[::2]) == {alone}
    assert len(set(made)) == 2


def test_another_process_draws_the_same():
    """No order of a set, no date and no setting of the machine gets into the file."""
    code = (
        "import sys; from tests.imaging.pictures.cases import *; "
        "from app.imaging.pictures import draw; p = plan_of(640, 427); "
        "sys.stdout.buffer.write(draw('comparison', p, picture_for(p), form='svg', side_px=300))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    plan = plan_of(640, 427)
    assert made.stdout == draw("comparison", plan, picture_for(plan), form="svg", side_px=300)


@pytest.mark.parametrize("side_px", [MIN_SIDE_PX - 1, MAX_SIDE_PX + 1, 0, -5])
def test_sides_out_of_bounds_are_refused(side_px):
    """With the bound and the value, before anything is drawn."""
    with pytest.raises(InvalidConfig, match=f"between {MIN_SIDE_PX} and {MAX_SIDE_PX}") as refused:
        draw("crops", plan_of(640, 480), None, side_px=side_px)
    assert refused.value.facts["actual"] == side_px
    assert refused.value.facts["limit"] in (MIN_SIDE_PX, MAX_SIDE_PX)


def test_a_large_file_is_loaded_no_larger_than_it_is_drawn(photo_bytes):
    """Its longer side is what was asked for, its aspect that of the file."""
    facts = look(photo_bytes, max_pixels=10**9)
    ground = load_ground(photo_bytes, facts, max_pixels=10**9, side_px=200)
    assert ground.size == (200, round(200 * 427 / 640))
    large = load_ground(photo_bytes, facts, max_pixels=10**9, side_px=4096)
    assert large.size == (640, 427)


def test_matplotlib_is_imported_by_the_first_drawing_only():
    """Not by the application, its start, nor the command line; by a drawing it is."""
    code = """
import asyncio, sys
from app.main import create_app
from app.settings import Settings
import app.cli.application
app = create_app(Settings(encoder=False))
async def start():
    async with app.router.lifespan_context(app):
        await asyncio.sleep(0)
asyncio.run(start())
assert "matplotlib" not in sys.modules
from app.imaging.pictures import draw
from tests.imaging.pictures.cases import plan_of
draw("crops", plan_of(64, 48), None)
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
