"""The recorded outputs of the reference code are reproduced, without exception."""

import hashlib
import json
from array import array
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from support.scatter import image_input_idx

from app.core.errors import CollapsedImage
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tokens import axis_tokens, axis_windows, token_sequence

VECTORS = Path(__file__).parents[2] / "vectors"


def records(name: str) -> list[dict]:
    return [json.loads(line) for line in (VECTORS / name).read_text().splitlines()]


def digest(values: list[int]) -> str:
    """First 16 hex digits of SHA-256 over little-endian int32."""
    return hashlib.sha256(array("i", values).tobytes()).hexdigest()[:16]


def padded_patches(plan: CropPlan) -> tuple[int, int]:
    """Patches of the grid crops that are all padding, and those that are partly."""
    patch, side = plan.config.patch_size_px, plan.config.crop_size_px
    canvas = plan.canvas

    def content(first: int, start: int, length: int) -> list[int]:
        """Content px in each patch along one axis of a crop."""
        edges = range(first, first + side, patch)
        return [max(0, min(e + patch, start + length) - max(e, start)) for e in edges]

    empty = partial = 0
    for crop in plan.crops():
        rows = content(int(crop.canvas_box.y0), canvas.pad_top, canvas.scaled_height)
        cols = content(int(crop.canvas_box.x0), canvas.pad_left, canvas.scaled_width)
        for row in rows:
            for col in cols:
                empty += row * col == 0
                partial += 0 < row * col < patch * patch
    return empty, partial


def molmo1_config(record: dict) -> CropConfig:
    return make_config(
        FAMILIES["molmo-7b-d-0924"],
        max_crops=record["max_crops"],
        overlap_margins=tuple(record["margins"]),
        crop_size_px=record["base"],
    )


def test_every_molmo1_plan_is_reproduced():
    """Tiling, tokens by kind, letterbox, padding, token ids and scatter order."""
    planned = records("molmo1_plans.jsonl")
    assert len(planned) == 1500
    for record in planned:
        config = molmo1_config(record)
        size = Size(record["w"], record["h"])
        if "error" in record:
            with pytest.raises(CollapsedImage):
                make_plan(size, config)
            continue
        plan = make_plan(size, config)
        empty, partial = padded_patches(plan)
        assert {
            **record,
            "rows": plan.grid.rows,
            "cols": plan.grid.cols,
            "crops_with_global": plan.total_crops,
            "tokens": plan.tokens.prompt,
            "patch_tokens": plan.tokens.patch,
            "col_tokens": plan.tokens.column,
            "start_tokens": plan.tokens.start,
            "end_tokens": plan.tokens.end,
            "scaled_h": plan.canvas.scaled_height,
            "scaled_w": plan.canvas.scaled_width,
            "top_pad": plan.canvas.pad_top,
            "left_pad": plan.canvas.pad_left,
            "all_pad_patches": empty,
            "partial_pad_patches": partial,
            "token_ids_sha256": digest(token_sequence(plan.grid, config)),
            "image_input_idx_sha256": digest(list(chain(*image_input_idx(plan.grid, config)))),
        } == record


def test_every_molmo2_plan_is_reproduced():
    """Tiling, canvas, token grid and tokens by kind."""
    planned = records("molmo2_plans.jsonl")
    assert len(planned) == 700
    for record in planned:
        config = make_config(FAMILIES["molmo2-8b"], max_crops=record["max_crops"])
        plan = make_plan(Size(record["w"], record["h"]), config)
        low = axis_tokens(1, config)
        high = [axis_tokens(n, config) for n in (plan.grid.rows, plan.grid.cols)]
        assert {
            **record,
            "rows": plan.grid.rows,
            "cols": plan.grid.cols,
            "canvas_h": plan.canvas.height,
            "canvas_w": plan.canvas.width,
            "crops_with_global": plan.total_crops,
            "grid": [low, low, *high],
            "tokens": plan.tokens.prompt,
            "patch_tokens": plan.tokens.patch,
            "col_tokens": plan.tokens.column,
        } == record


def test_coco_histogram():
    """The crops of COCO val2017, global one included, under Molmo 1 with 12 crops."""
    config = make_config(FAMILIES["molmo-7b-d-0924"])
    sizes = json.loads((VECTORS / "coco_val2017_sizes.json").read_text())
    counts = Counter(make_plan(Size(width, height), config).total_crops for height, width in sizes)
    assert counts == {2: 21, 3: 260, 4: 64, 5: 491, 7: 3925, 10: 239}


@pytest.mark.parametrize("record", records("molmo1_plans.jsonl")[::50], ids=str)
def test_token_sequence_has_the_counted_tokens(record):
    """The closed forms agree with the sequences they count."""
    config = molmo1_config(record)
    grid = Grid(record.get("rows", 1), record.get("cols", 1))
    for count in (grid.rows, grid.cols):
        assert axis_tokens(count, config) == len(axis_windows(count, config))
