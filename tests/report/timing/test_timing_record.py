"""The file of a timing: what is in it follows from what was measured, and its page tells all."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image
from support.timed import FakeTimedEncoder, Thrice

from app.core.latency.profile import Fidelity, MachineState
from app.core.latency.timings import Percentiles
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.report.dataset.images import open_dataset
from app.report.errors import Skipped
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
    assert (wide.num_crops, wide.num_vision_tokens) == (7, 704)
    assert wide.size == dataset.images[1].size


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
