"""Time the statistics of a set of sizes beside a loop over the reference's recipe with numpy.

People write such a loop without this project: one tiling a size, with the coverage counted once on
the patch grid. The statistics here answer some forty configurations; a single configuration is
timed too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

import numpy as np
import torch

from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan
from app.encoder.device.device import device_name
from app.report.figures.averages import Tally, plan_each
from app.report.figures.set_statistics import set_statistics
from benchmarks.planning import COCO_SIZES, numpy_tiling
from benchmarks.timing import run

ROUNDS = 5


def no_latency(_: CropPlan) -> Latency:
    """Answer without a profile."""
    return Latency("none", "none")


def numpy_overlap(size: Size, config: CropConfig) -> tuple[float, float]:
    """Count the coverage patch by patch; return the overlap and redundancy ratios of one size."""
    grid = numpy_tiling(size, config)
    shape = [n * config.window_patches + config.margin_patches for n in (grid.rows, grid.cols)]
    coverage = np.zeros(shape, np.int32)
    for row in range(grid.rows):
        for col in range(grid.cols):
            top, left = row * config.window_patches, col * config.window_patches
            coverage[top : top + config.crop_patches, left : left + config.crop_patches] += 1
    return float((coverage > 1).mean()), float(coverage.mean())


def numpy_set(sizes: list[Size], config: CropConfig) -> tuple[float, float]:
    """Return the mean ratios of a set, with every image counted on its own."""
    found = np.array([numpy_overlap(size, config) for size in sizes])
    return float(found[:, 0].mean()), float(found[:, 1].mean())


def one_configuration(sizes: list[Size], config: CropConfig) -> tuple[float, float]:
    """Return the mean ratios of a set by our planning, with each distinct size planned once."""
    mean = Tally(plan_each(Counter(sizes), config)).averages(no_latency)
    return mean.overlap_ratio, mean.redundancy_ratio


def main() -> None:
    """Time the statistics of COCO's sizes, and of as many distinct sizes."""
    config = make_config(family_named(DEFAULT_FAMILY))
    pairs = json.loads(COCO_SIZES.read_text(encoding="utf-8"))
    coco = [Size(width, height) for height, width in pairs]
    random = Random(0)
    distinct = [Size(random.randint(200, 4000), random.randint(200, 4000)) for _ in coco]
    assert np.allclose(numpy_set(coco, config), one_configuration(coco, config))
    variants: dict[str, Callable[[], object]] = {}
    for name, sizes in (("COCO", coco), ("distinct", distinct)):
        variants[f"{name}: all statistics"] = partial(set_statistics, sizes, config, no_latency)
        variants[f"{name}: one configuration"] = partial(one_configuration, sizes, config)
        variants[f"{name}: numpy, one configuration"] = partial(numpy_set, sizes, config)
    run(
        "experiment",
        f"Statistics of {len(coco):,} sizes",
        variants,
        count=ROUNDS,
        unit="s",
        ratios=[
            (f"{name}: numpy, one configuration", f"{name}: one configuration")
            for name in ("COCO", "distinct")
        ],
        device=device_name(torch.device("cpu")),
        sizes=len(coco),
        settings=len(set_statistics(coco, config, no_latency).settings),
    )


if __name__ == "__main__":
    main()
