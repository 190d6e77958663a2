"""What a plan costs, beside the reference's way: numpy over all candidates, made anew each call."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.core.control.alternatives import candidates, max_crops_table, size_table
from app.core.control.fitting import fitting_sizes
from app.core.control.headroom import height_headroom, width_headroom
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import make_plan
from app.core.plan.tiling import select_tiling
from app.encoder.device.device import device_name
from benchmarks.timing import ratio, rounds, save

SIZES = Path(__file__).parents[1] / "tests" / "vectors" / "coco_val2017_sizes.json"
ROUNDS = 9


def numpy_tiling(size: Size, config: CropConfig) -> Grid:
    """The reference's recipe, step by step: list, sort, all scales, arg min or max."""
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


def everything(size: Size, config: CropConfig) -> Any:
    """All that ``GET /plan`` answers with, but the JSON."""
    plan = make_plan(size, config)
    return (
        plan.crops(),
        plan.overlap(),
        plan.content_overlap(),
        plan.encoder_redundancy(),
        width_headroom(plan),
        height_headroom(plan),
        candidates(plan),
        max_crops_table(plan),
        size_table(plan),
    )


def main() -> None:
    """Print and save the figures."""
    import torch

    config = make_config(family_named(DEFAULT_FAMILY))
    pairs = json.loads(SIZES.read_text(encoding="utf-8"))
    sizes = [Size(width, height) for height, width in pairs]
    some = sizes[:1000]
    assert all(numpy_tiling(size, config) == select_tiling(size, config) for size in some)
    seconds = rounds(
        {
            "tiling and tokens": lambda: [make_plan(size, config) for size in some],
            "tiling": lambda: [select_tiling(size, config) for size in some],
            "numpy tiling": lambda: [numpy_tiling(size, config) for size in some],
        },
        ROUNDS,
    )
    each_us = {name: statistics.median(times) / len(some) * 1e6 for name, times in seconds.items()}
    least, middle, most = ratio(seconds, "numpy tiling", "tiling")
    plan_least, plan_middle, plan_most = ratio(seconds, "numpy tiling", "tiling and tokens")
    fitting_sizes.cache_clear()
    started = time.perf_counter()
    for size in sizes:
        everything(size, config)
    coco_s = time.perf_counter() - started
    print(f"Planning, {config.family.name}, max_crops {config.max_crops}, {ROUNDS} rounds")
    for name, us in each_us.items():
        print(f"  {name:<20}{us:8.1f} µs a size (median)")
    print(f"  numpy tiling / tiling               {middle:5.1f}x  ({least:.1f} to {most:.1f})")
    print(
        f"  numpy tiling / tiling and tokens    {plan_middle:5.1f}x  "
        f"({plan_least:.1f} to {plan_most:.1f})"
    )
    print(f"  {len(sizes)} COCO sizes, all that /plan answers: {coco_s:.1f} s")
    path = save(
        "planning",
        {
            "device": device_name(torch.device("cpu")),
            "sizes": len(some),
            "rounds": ROUNDS,
            "us_per_size": each_us,
            "numpy_over_tiling": {"min": least, "median": middle, "max": most},
            "numpy_over_tiling_and_tokens": {
                "min": plan_least,
                "median": plan_middle,
                "max": plan_most,
            },
            "coco_everything_s": coco_s,
        },
    )
    print(f"  saved as benchmarks/results/{path.name}")


if __name__ == "__main__":
    main()
