"""The file of a timing: read strictly where it matters, and written from what was measured."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.timed import FakeTimedEncoder, Thrice

from app.core.latency.profile import Fidelity, MachineState
from app.core.latency.timings import Percentiles
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.report.dataset.images import open_dataset
from app.report.errors import InvalidTiming, Skipped
from app.report.timing.component_timing import time_components
from app.report.timing.components import (
    ComponentTimes,
    ComponentTiming,
    ImageComponents,
    median_ms,
)
from app.report.timing.timing_file import Conditions, read_timing, timing_to_json

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "timing-file.md"
CONFIG = make_config(family_named("molmo-7b-d-0924"), max_crops=6)
CONDITIONS = Conditions(
    device="A device",
    device_type="cuda",
    dtype="bfloat16",
    runtime="eager",
    weights="random",
    threads=2,
    versions={"torch": "2"},
    measured_at="2026-01-01T00:00:00+00:00",
    fidelity=Fidelity(0.001, 0.999),
    machine_before=MachineState(),
    machine_after=MachineState(load_1m=1.5),
    contended=None,
)
GOOD = {"image_id": 139, "num_crops": 7}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def written(folder, content):
    path = folder / "exp2.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_researchers_file_is_read(tmp_path):
    """Known fields as such, all others kept as they came."""
    row = GOOD | {"example_id": "q1", "num_vision_tokens": 720, "T_vision": 0.3, "more": [1, None]}
    timing = read_timing(written(tmp_path, {"results": [row, GOOD], "summary": {}}))
    first, second = timing.results
    assert (first.image_id, first.example_id, first.num_crops) == (139, "q1", 7)
    assert first.row == row
    assert (second.example_id, second.file_name) == (None, None)
    assert timing.counts_global_crop is None


def test_our_own_fields_are_read(tmp_path):
    """Name, all others as they came, and whether the global crop is counted."""
    row = GOOD | {"file_name": "a.jpg", "width": 640, "height": 427}
    timing = read_timing(written(tmp_path, {"results": [row], "counts_global_crop": True}))
    assert (timing.results[0].file_name, timing.results[0].row) == ("a.jpg", row)
    assert timing.counts_global_crop is True


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("num_crops", value) for value in (0, -1, 2.5, "7", True, None)),
        *(("image_id", value) for value in (None, 1.5, True, [1])),
        *(("num_vision_tokens", value) for value in (-1, "720")),
        *(("width", value) for value in (0, "640", None)),
        ("example_id", [1]),
        ("file_name", 7),
    ],
)
def test_a_wrong_row_is_named_with_its_field(tmp_path, field, value):
    """The second of two, so that the place is no accident."""
    bad = GOOD | {"width": 640, "height": 427} | {field: value}
    with pytest.raises(InvalidTiming) as caught:
        read_timing(written(tmp_path, {"results": [GOOD, bad]}))
    assert caught.value.facts == {"file": "exp2.json", "field": f"results[1].{field}"}
    assert f"results[1].{field}" in caught.value.detail


@pytest.mark.parametrize("field", list(GOOD))
def test_a_missing_field_is_named(tmp_path, field):
    """Both that are demanded."""
    bad = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(InvalidTiming, match=rf"results\[0\]\.{field}: missing"):
        read_timing(written(tmp_path, {"results": [bad]}))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1",
        "[]",
        "{}",
        '{"results": {}}',
        '{"results": [], "counts_global_crop": 1}',
        "[" * 9999,
    ],
)
def test_what_is_no_timing_is_refused(tmp_path, content):
    """Whatever else the file may be; so is one that is not there."""
    with pytest.raises(InvalidTiming, match=r"exp2\.json"):
        read_timing(written(tmp_path, content))
    with pytest.raises(InvalidTiming, match="No such file"):
        read_timing(tmp_path / "none.json")


@given(
    st.dictionaries(st.sampled_from([*GOOD, "example_id", "width", "height"]), json_values),
    st.sampled_from(["results", "counts_global_crop"]),
    json_values,
)
def test_any_json_is_read_or_refused(tmp_path_factory, row, name, value):
    """With our own error, whatever is where."""
    path = written(tmp_path_factory.getbasetemp(), {"results": [GOOD | row], name: value})
    try:
        timing = read_timing(path)
    except InvalidTiming:
        return
    assert all(one.num_crops > 0 for one in timing.results)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    Image.new("RGB", (640, 480)).save(folder / "wide.jpg")
    Image.new("RGB", (300, 300)).save(folder / "small.png")
    (folder / "text.png").write_text("no image")
    return open_dataset(folder, max_pixels=1_000_000)


def timed(dataset, transfer_ms):
    encoder = FakeTimedEncoder(transfer_ms=transfer_ms)
    return time_components(
        encoder,
        dataset,
        CONFIG,
        repeats=3,
        warming=Thrice(),
        max_pixels=1_000_000,
        clock=encoder.clock,
    )


@pytest.fixture
def content(dataset):
    timing = timed(dataset, 5.0)
    return json.loads(timing_to_json(timing, dataset, CONFIG, CONDITIONS, repeats=3))


def test_our_own_reader_reads_it(dataset, tmp_path):
    """Every row, with what it says of the image."""
    file = tmp_path / "exp2.json"
    text = timing_to_json(timed(dataset, None), dataset, CONFIG, CONDITIONS, repeats=3)
    file.write_text(text)
    read = read_timing(file)
    assert read.counts_global_crop is True
    by_id = {one.image_id: one for one in read.results}
    assert list(by_id) == [image.image_id for image in dataset.images] == ["small", "wide"]
    wide = by_id["wide"]
    assert (wide.example_id, wide.file_name) == (1, "wide.jpg")
    assert (wide.num_crops, wide.row["num_vision_tokens"]) == (7, 704)
    assert Size(wide.row["width"], wide.row["height"]) == dataset.images[1].size


def test_a_row_is_the_plan_and_what_was_measured(content):
    """Crops and tokens of 640x480, and percentiles that follow from the samples beside them."""
    row = content["results"][1]
    assert (row["num_crops"], row["num_grid_crops"], row["tiling"]) == (7, 6, "2x3")
    assert (row["num_vision_tokens"], row["num_prompt_tokens"]) == (704, 740)
    for component, samples in row["samples_ms"].items():
        known = Percentiles.of(samples)
        wanted = {"p50": known.p50, "p95": known.p95, "samples": 3}
        assert row[f"{component}_ms"] == wanted, component
    assert row["vit_ms"]["p50"] + row["connector_ms"]["p50"] == row["vision_ms"]["p50"]


def test_what_there_is_not_is_null(dataset):
    """Without a bus there is no transfer: no zero, and no samples."""
    text = timing_to_json(timed(dataset, None), dataset, CONFIG, CONDITIONS, repeats=3)
    for row in json.loads(text)["results"]:
        assert row["transfer_ms"] is None
        assert row["samples_ms"]["transfer"] == []
        assert row["preprocess_ms"]["samples"] == 3


def test_the_file_says_what_it_was_measured_under(content):
    """And of what, and what was skipped."""
    assert content["experiment"] == "exp2_component_profiling"
    assert content["dataset"]["kind"] == "folder"
    assert content["config"]["max_crops"] == 6
    assert content["repeats"] == 3
    assert {name: content[name] for name in asdict(CONDITIONS)} == asdict(CONDITIONS) | {
        "machine_before": asdict(MachineState()) | {"throttle": []},
        "machine_after": asdict(MachineState(load_1m=1.5)) | {"throttle": []},
    }
    assert [one["num_crops"] for one in content["warmups"]] == [2, 7]
    (skipped,) = content["skipped"]
    assert skipped["name"] == "text.png"


def test_every_field_is_on_its_page(content):
    """Of the file, of a row, of a component and of what was skipped."""
    told = set(re.findall(r"`([a-z_0-9]+)(?:\[\])?`", PAGE.read_text()))
    row = content["results"][0]
    fields = {
        *content,
        *content["dataset"],
        *content["warmups"][0],
        *content["skipped"][0],
        *row,
        *row["vision_ms"],
        *row["samples_ms"],
    }
    assert fields - told == set()


def test_images_count_once_in_a_median(dataset):
    """However often each was timed: the median of the images' medians."""

    def image(*decode):
        passes = tuple(ComponentTimes(ms, 1, None, 1, 1, 2, 1) for ms in decode)
        return ImageComponents(None, passes)

    images = [image(1, 2, 9), image(4, 4, 4, 4, 4, 4, 4), image(5)]
    timing = ComponentTiming(tuple(images), (Skipped("a", "b"),), {})
    assert median_ms(timing.images, "decode") == 4
    assert median_ms(timing.images[:2], "decode") == 3
    assert median_ms(timing.images, "transfer") is None
