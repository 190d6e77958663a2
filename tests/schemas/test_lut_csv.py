"""The table as CSV says what the table as JSON says, line by line."""

import csv
import io
from math import isfinite

from hypothesis import given, settings
from hypothesis import strategies as st
from support.profiles import entry, predict, profile
from support.strategies import configs, sizes

from app.core.control.table import lookup_table
from app.schemas.resize import LutAnswer, lut_csv

HEADER = (
    "target_crops,total_crops,rows,cols,best,width_px,height_px,patch_tokens,prompt_tokens,"
    "overlap_ratio,redundancy_ratio,vision_p50_ms,vision_p95_ms,latency_source,"
    "fit_width_px,fit_height_px,fit_scale,"
    "model,max_crops,margin_left_patches,margin_right_patches,crop_size_px,"
    "device,dtype,runtime,weights,latency_reason"
)
WORDS = {"best", "latency_source", "model", "device", "dtype", "runtime", "weights",
         "latency_reason"}  # fmt: skip
PROFILE = profile(entry(1, 1, 20.0), entry(2, 2, 50.0), entry(2, 3, 70.5))


def table(config, image=None, aspect=None) -> LutAnswer:
    rows = lookup_table(config, image=image, aspect=aspect)
    return LutAnswer.of(config, rows, PROFILE, lambda plan: predict(PROFILE, plan))


def told(answer, row, index) -> dict:
    """An option of the JSON under the names of the columns, as Python has it."""
    option = row["options"][index]
    latency, fit = option["latency"], option["fit"] or {}
    vision, config = latency["vision_ms"] or {}, answer["config"]
    return {
        **{name: row[name] for name in ("target_crops", "total_crops")},
        **{name: option[name] for name in ("rows", "cols", "overlap_ratio", "redundancy_ratio")},
        "best": "true" if index == row["best"] else "false",
        "width_px": option["width"],
        "height_px": option["height"],
        "patch_tokens": option["tokens"]["patch"],
        "prompt_tokens": option["tokens"]["prompt"],
        "vision_p50_ms": vision.get("p50"),
        "vision_p95_ms": vision.get("p95"),
        "latency_source": latency["source"],
        "latency_reason": latency["reason"],
        "fit_width_px": fit.get("width"),
        "fit_height_px": fit.get("height"),
        "fit_scale": fit.get("scale"),
        "model": answer["model"],
        "max_crops": config["max_crops"],
        "margin_left_patches": config["overlap_margins"][0],
        "margin_right_patches": config["overlap_margins"][1],
        "crop_size_px": config["crop_size_px"],
        **{name: latency[name] for name in ("device", "dtype", "runtime", "weights")},
    }


def read(name: str, text: str) -> object:
    if text == "":
        return None
    return text if name in WORDS else float(text)


@settings(deadline=None)
@given(configs(largest=12), st.one_of(st.none(), sizes), st.booleans())
def test_lines_are_the_options(config, size, as_aspect):
    """In their order, nothing rounded or lost; numbers are finite, what there is not is empty."""
    answer = table(config, **{"aspect" if as_aspect else "image": size})
    lines = list(csv.DictReader(io.StringIO(lut_csv(answer), newline="")))
    whole = answer.model_dump()
    expected = [
        told(whole, row, index) for row in whole["rows"] for index in range(len(row["options"]))
    ]
    found = [{name: read(name, text) for name, text in line.items()} for line in lines]
    assert found == expected
    for line in found:
        assert all(isfinite(value) for value in line.values() if isinstance(value, float))


@settings(max_examples=20)
@given(configs(largest=6))
def test_columns_are_always_the_same(config):
    """Names first, no comments, so many cells a line: it opens without options."""
    text = lut_csv(table(config))
    assert text.splitlines()[0] == HEADER
    assert {len(row) for row in csv.reader(io.StringIO(text, newline=""))} == {27}


@settings(deadline=None)
@given(configs(largest=12))
def test_the_table_for_all_has_every_factorisation(config):
    """Each rows × cols within max_crops, once."""
    lines = list(csv.DictReader(io.StringIO(lut_csv(table(config)), newline="")))
    most = config.max_crops
    every = {(r, c) for r in range(1, most + 1) for c in range(1, most + 1) if r * c <= most}
    assert sorted((int(line["rows"]), int(line["cols"])) for line in lines) == sorted(every)
