"""The report as whoever opens it gets it: parsed, not searched for the template's words."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.profiles import entry, predict, profile

from app.core.latency.latency import Latency
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.report.choose import Agreement
from app.report.dataset.images import Dataset, DatasetImage
from app.report.drawing import files_of
from app.report.errors import Skipped
from app.report.experiment import Examined, Experiment, SelectionFacts
from app.report.figures.set_statistics import set_statistics
from app.report.html.elements import MOST_PICTURED, embed_all
from app.report.html.page import render_report
from app.report.timing.components import MeasuredCount

CONFIG = make_config(FAMILIES["molmo-7b-d-0924"])
PHOTO, SMALL = Size(640, 480), Size(300, 200)
CONFIGS = st.builds(
    make_config,
    st.sampled_from([FAMILIES["molmo-7b-d-0924"], FAMILIES["molmo2-8b"]]),
    max_crops=st.sampled_from([1, 2, 12, 24]),
    overlap_margins=st.sampled_from([None, (0, 0)]),
)
SETS = st.lists(
    st.builds(Size, st.integers(30, 3000), st.integers(30, 3000)), min_size=1, max_size=6
)
VOID = {"meta", "img", "br", "use", "path"}


def no_latency(_):
    return Latency("none", "no profile was named")


def experiment(sizes, config=CONFIG, *, names=None, latency=no_latency):
    """Of these sizes, as if there were no files; all of them looked at."""
    names = names or [f"{i}.jpg" for i in range(len(sizes))]
    images = [
        DatasetImage(i, name, size, None)
        for i, (name, size) in enumerate(zip(names, sizes, strict=True))
    ]
    plans = {image.image_id: make_plan(image.size, config) for image in images}
    examined = [
        Examined(
            image=image,
            plan=plans[image.image_id],
            timing=None,
            files=files_of(image, plans[image.image_id], crops=False),
        )
        for image in images
    ]
    return Experiment(
        config=config,
        latency=latency,
        dataset=Dataset("photos", None, "annotations", tuple(images), ()),
        selection=SelectionFacts(None, len(sizes), 12, 12, None),
        examined=tuple(examined),
        skipped=(),
        plans=plans,
        statistics=set_statistics(sizes, config, latency),
        measured=(),
    )


class Page(HTMLParser):
    """What is on a page; an element that is not closed, or that closes another, fails."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.links, self.texts, self.attributes = [], [], [], [], []
        self._open = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            self.attributes.append((tag, name, value))
            if name == "id":
                self.ids.append(value)
            if name == "href" or name.endswith(":href"):
                self.links.append(value)
        if tag not in VOID - {"use", "path"}:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID - {"use", "path"}:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


@settings(max_examples=8, deadline=None)
@given(SETS, CONFIGS)
def test_any_set_makes_a_page_that_needs_nothing_else(sizes, config):
    """Every element is closed, every id is there once, every link leads into the page itself."""
    page = Page(render_report(experiment(sizes, config), {}))
    assert "script" not in page.tags
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert not [one for one in page.attributes if one[1] in ("src", "srcset")]
    assert not re.search(r"\bNone\b|\bnan\b|\binf\b|Undefined", page.text)
    assert len([tag for tag in page.tags if tag == "svg"]) == 4


def test_charts_have_the_pages_colours():
    """None of their own, as those would not be seen on the other ground."""
    html = render_report(experiment([PHOTO, SMALL]), {})
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) <= {"none"} | {
            f"var(--{name})"
            for name in ("ink", "quiet", "line", *(f"series-{n}" for n in range(1, 6)))
        }


def test_settings_of_matplotlib_change_nothing():
    """Whatever a matplotlibrc says, and whatever was drawn before."""
    before = render_report(experiment([PHOTO, SMALL]), {})
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert render_report(experiment([PHOTO, SMALL]), {}) == before


HOSTILE = "\"><script>alert(1)</script><b a='{{ 7*7 }}"


def test_names_are_text_and_never_markup():
    """Of images, of what is skipped, of the set, its split, its folder and its timing."""
    found = experiment([PHOTO], names=[HOSTILE])
    found = replace(
        found,
        images_folder=HOSTILE,
        dataset=replace(found.dataset, name=HOSTILE, split=HOSTILE),
        selection=replace(found.selection, source=HOSTILE, agreement=Agreement(True, 1, 2)),
        skipped=(Skipped(HOSTILE, HOSTILE),),
        measured=(MeasuredCount(7, 1, {"vit": 2.0}),),
    )
    page = Page(render_report(found, {}))
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 9


def test_every_boundary_and_alternative_of_an_image_is_there():
    """On the canvas and on the original, as the plan has them."""
    page = Page(render_report(experiment([PHOTO]), {}))
    for crop in make_plan(PHOTO, CONFIG).crops():
        x0, y0, x1, y1 = crop.canvas_box.as_tuple()
        assert f"{x0:g}, {y0:g} – {x1:g}, {y1:g}" in page.text
    assert "2x3: 6 grid crops, 7 in all with the global one" in page.text
    assert "740 = patch 704 + column 32 + start 2 + end 2" in page.text


def test_times_are_there_where_they_were_measured():
    """Those of a profile, and those of a timing; without either there is no such section."""
    measured = profile(entry(2, 3, 70.0))
    known = experiment([PHOTO], latency=lambda plan: predict(measured, plan))
    parts = {"decode": 1.0, "preprocess": 2.0, "transfer": 0.5, "vit": 12.25, "connector": 3.5}
    known = replace(known, measured=(MeasuredCount(7, 1, parts),))
    page = Page(render_report(known, {}))
    assert "71.0 ms" in page.text
    assert "18.8 ms" in page.text  # on the chart; the transfer is a part of the preprocessing
    assert "times" in page.ids
    assert "In doubt" not in page.text
    doubted = replace(known.selection, contended="the load was 4.0 before")
    assert "In doubt. What measured them says: the load was 4.0 before." in (
        Page(render_report(replace(known, selection=doubted), {})).text
    )
    assert "times" not in Page(render_report(experiment([PHOTO]), {})).ids


def test_it_says_what_a_timing_counts_and_how_far_it_agrees():
    found = experiment([PHOTO])
    facts = replace(found.selection, source="exp2.json", agreement=Agreement(False, 3, 10))
    page = Page(render_report(replace(found, selection=facts), {}))
    assert "num_crops count grid crops only; 3 of its 10 images agree" in page.text


def test_a_target_that_is_not_there_is_said():
    found = experiment([PHOTO])
    facts = replace(found.selection, target_crops=12, closest_crops=6)
    page = Page(render_report(replace(found, selection=facts), {}))
    assert "gets 12; the nearest that occurs is 6" in page.text


@pytest.fixture
def drawn(tmp_path):
    """One more image than are pictured, each with a file of its own."""
    from PIL import Image

    found = experiment([SMALL] * (MOST_PICTURED + 1))
    for one in found.examined:
        for name in (one.files.crops, one.files.statistics):
            Image.new("RGB", (3000, 1000), (200, one.image.image_id, 0)).save(tmp_path / name)
    return found, tmp_path


def test_pictures_are_in_the_page_and_not_larger_than_shown(drawn):
    """Of the first images; of the others the page says where they are."""
    found, folder = drawn
    told = []
    pictures = embed_all(found.examined, folder, 2, lambda *done: told.append(done))
    page = Page(render_report(found, pictures))
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert len(sources) == 2 * MOST_PICTURED
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert {(one.width, one.height) for one in pictures.values()} == {(1100, 367)}
    assert told[-1] == (2 * MOST_PICTURED, 2 * MOST_PICTURED)
    assert found.examined[-1].files.crops in page.text
    assert found.examined[0].files.crops not in page.text
