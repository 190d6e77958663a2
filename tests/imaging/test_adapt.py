"""Adapting a file: qualities are measured only as far as asked, and any of them may end it."""

import io

import pytest
from PIL import Image
from support.images import with_orientation

from app.core.adaptation import Wish
from app.core.control.budget import Budget
from app.core.latency.latency import Latency
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.imaging.adapt import adapt_file
from app.imaging.write.render import Output

CONFIG = make_config(FAMILIES["molmo-7b-d-0924"])
TOKENS = 700


def adapted(data: bytes, *, tokens=TOKENS, measure_all=False, make=False, **options):
    return adapt_file(
        data,
        CONFIG,
        Wish(Budget(None, tokens, 95)),
        lambda plan: Latency("none", "not asked for"),
        Output(),
        max_pixels=10**8,
        measure_all=measure_all,
        make=make,
        **options,
    )


@pytest.mark.parametrize("measure_all", [False, True])
def test_qualities_beyond_the_budget_are_measured_only_if_asked(photo_bytes, measure_all):
    """And ``before_each`` is called before each of them."""
    calls = []
    made = adapted(
        photo_bytes, measure_all=measure_all, before_each=lambda: calls.append(1)
    ).adaptation
    beyond = [one for one in made.table if not one.within_budget]
    within = [one for one in made.table if one.within_budget]
    assert beyond
    assert all((one.quality is not None) == measure_all for one in beyond)
    assert all(one.quality is not None for one in within)
    assert len(calls) == len(made.table if measure_all else within)


def test_an_error_before_a_measurement_ends_all(photo_bytes):
    def late() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        adapted(photo_bytes, before_each=late)


def test_an_image_within_its_budget_comes_back_as_it_is(photo_bytes):
    """Its pixels are compared with nothing."""
    made = adapted(photo_bytes, tokens=10_000, make=True)
    assert made.file.data == photo_bytes
    assert (made.file.form, made.file.quality, made.adaptation.compared_px) == ("jpeg", None, None)


def test_an_image_within_its_budget_that_lies_on_its_side_is_written_anew(photo):
    """Upright, at its own size; and the table calls it a fit."""
    data = with_orientation(photo.resize((400, 300)), "JPEG", 6)
    made = adapted(data, tokens=10_000, make=True)
    assert made.adaptation.chosen.candidate.mode == "fit"
    with Image.open(io.BytesIO(made.file.data)) as image:
        assert (image.size, image.getexif().get(0x0112)) == ((300, 400), None)
