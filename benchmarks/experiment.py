"""The statistics of a set of sizes, beside a loop over the reference's recipe with numpy.

The loop is what people write without us: one tiling a size, its coverage counted on the patch grid
with numpy, once. Ours answer some forty configurations; what one alone costs is timed, too.
"""

from __future__ import annotations

import json
import statistics
from random import Random

import numpy as np
import torch

from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan
from app.encoder.device.device import device_name
from app.report.figures.averages import averages, plan_each
from app.report.figures.set_statistics import set_statistics
from benchmarks.planning import SIZES, numpy_tiling
from benchmarks.timing import ratio, rounds, save

ROUNDS = 5


def no_latency(_: CropPlan) -> Latency:
    """No profile."""
    return Latency("none", "none")


def numpy_overlap(size: Size, config: CropConfig) -> tuple[float, float]:
    """Overlap and redundancy ratio of one size: coverage counted patch by patch."""
    grid = numpy_tiling(size, config)
    shape = [n * config.window_patches + config.margin_patches for n in (grid.rows, grid.cols)]
    coverage = np.zeros(shape, np.int32)
    for row in range(grid.rows):
        for col in range(grid.cols):
            top, left = row * config.window_patches, col * config.window_patches
            coverage[top : top + config.crop_patches, left : left + config.crop_patches] += 1
    return float((coverage > 1).mean()), float(coverage.mean())


def numpy_set(sizes: list[Size], config: CropConfig) -> tuple[float, float]:
    """Means over a set, every image on its own."""
    found = np.array([numpy_overlap(size, config) for size in sizes])
    return float(found[:, 0].mean()), float(found[:, 1].mean())


def one_configuration(sizes: list[Size], config: CropConfig) -> tuple[float, float]:
    """The same means by our planning, each distinct size once."""
    counted: dict[Size, int] = {}
    for size in sizes:
        counted[size] = counted.get(size, 0) + 1
    mean = averages(plan_each(counted, config), no_latency)
    return mean.overlap_ratio, mean.redundancy_ratio


def main() -> None:
    """Print and save the figures."""
    config = make_config(family_named(DEFAULT_FAMILY))
    pairs = json.loads(SIZES.read_text(encoding="utf-8"))
    coco = [Size(width, height) for height, width in pairs]
    random = Random(0)
    distinct = [Size(random.randint(200, 4000), random.randint(200, 4000)) for _ in coco]
    assert np.allclose(numpy_set(coco, config), one_configuration(coco, config))
    seconds = rounds(
        {
            "COCO: all statistics": lambda: set_statistics(coco, config, no_latency),
            "COCO: one configuration": lambda: one_configuration(coco, config),
            "COCO: numpy, one configuration": lambda: numpy_set(coco, config),
            "distinct: all statistics": lambda: set_statistics(distinct, config, no_latency),
            "distinct: one configuration": lambda: one_configuration(distinct, config),
            "distinct: numpy, one configuration": lambda: numpy_set(distinct, config),
        },
        ROUNDS,
    )
    settings = len(set_statistics(coco, config, no_latency).settings)
    print(f"Statistics of {len(coco):,} sizes, {ROUNDS} rounds; {settings} settings in all")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, s in medians.items():
        print(f"  {name:<38}{s:8.3f} s (median)")
    ratios = {}
    for name in ("COCO", "distinct"):
        least, middle, most = ratio(
            seconds, f"{name}: numpy, one configuration", f"{name}: one configuration"
        )
        ratios[name] = {"min": least, "median": middle, "max": most}
        print(f"  {name}: numpy / ours, one configuration {middle:.1f} ({least:.1f} to {most:.1f})")
    path = save(
        "experiment",
        {
            "device": device_name(torch.device("cpu")),
            "sizes": len(coco),
            "rounds": ROUNDS,
            "settings": settings,
            "median_s": medians,
            "numpy_over_ours": ratios,
        },
    )
    print(f"  saved as benchmarks/results/{path.name}")


if __name__ == "__main__":
    main()
