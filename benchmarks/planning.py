"""Measure the cost of a plan by part, for new sizes, beside the reference's way to tile.

Nothing is remembered from one size to the next. Only the configuration's tables are made before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from app.core.control.headroom import height_headroom, width_headroom
from app.core.control.resizing import least_changes
from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tiling import required_scales, select_by_rule, select_tiling
from app.schemas.answer import to_json
from app.schemas.plan import PlanAnswer
from benchmarks.timing import run

COCO_SIZES = Path(__file__).parents[1] / "tests" / "vectors" / "coco_val2017_sizes.json"
SIZES = 500
LONGEST_PX = 6000
ROUNDS = 9
_NONE = Latency("none", "")

T = TypeVar("T")


def numpy_tiling(size: Size, config: CropConfig) -> Grid:
    """Follow the reference's recipe step by step: list, sort, all scales, arg min or max."""
    span = range(1, config.max_crops + 1)
    grids = [(rows, cols) for rows in span for cols in span if rows * cols <= config.max_crops]
    grids.sort(key=lambda grid: (grid[0] * grid[1], grid[0]))
    table = np.array(grids, dtype=np.int32)
    inner = np.stack(
        [size.height - config.margin_px, size.width - config.margin_px], dtype=np.float32
    )
    with np.errstate(divide="ignore"):
        scales = (table * config.window_px).astype(np.float32) / inner
    required = np.min(scales, axis=-1)
    if np.all(required < 1):
        best = np.argmax(required)
    else:
        best = np.argmin(np.where(required < 1.0, 10e9, required))
    return Grid(int(table[best][0]), int(table[best][1]))


def answer(plan: CropPlan) -> PlanAnswer:
    """Make the answer of ``GET /plan``."""
    return PlanAnswer.of(plan, _NONE)


def main() -> None:
    """Print and save the figures."""
    config = make_config(family_named(DEFAULT_FAMILY))
    draw = random.Random(0)
    sides = [(draw.randint(1, LONGEST_PX), draw.randint(100, LONGEST_PX)) for _ in range(SIZES)]
    sizes = [Size(max(width, height // 50), height) for width, height in sides]
    plans = [make_plan(size, config) for size in sizes]
    answers = [answer(plan) for plan in plans]
    assert all(numpy_tiling(size, config) == select_tiling(size, config) for size in sizes)

    def every(work: Callable[[T], object], over: Sequence[T]) -> Callable[[], object]:
        def work_on_every() -> None:
            for one in over:
                work(one)

        return work_on_every

    def both_headrooms(plan: CropPlan) -> object:
        return width_headroom(plan), height_headroom(plan)

    def overlap(plan: CropPlan) -> object:
        return plan.overlap(), plan.content_overlap(), plan.encoder_redundancy()

    def whole(size: Size) -> bytes:
        return to_json(answer(make_plan(size, config)))

    run(
        "planning",
        f"Planning {SIZES} sizes, {config.family.name}, max_crops {config.max_crops}",
        {
            "tiling in numpy": every(partial(numpy_tiling, config=config), sizes),
            "tiling by the rule": every(partial(select_by_rule, config=config), sizes),
            "tiling": every(partial(select_tiling, config=config), sizes),
            "plan": every(partial(make_plan, config=config), sizes),
            "scales": every(partial(required_scales, config=config), sizes),
            "sizes": every(partial(least_changes, config=config), sizes),
            "headroom": every(both_headrooms, plans),
            "crops": every(CropPlan.crops, plans),
            "overlap": every(overlap, plans),
            "answer of a plan": every(answer, plans),
            "JSON of an answer": every(to_json, answers),
            "all from a size": every(whole, sizes),
        },
        count=ROUNDS,
        unit="µs",
        each=SIZES,
        ratios=[
            ("tiling in numpy", "tiling"),
            ("tiling by the rule", "tiling"),
            ("all from a size", "plan"),
            ("all from a size", "JSON of an answer"),
        ],
        sizes=SIZES,
    )


if __name__ == "__main__":
    main()
