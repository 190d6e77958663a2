"""What the encoder costs: crops × dtypes, beside the rate of a large matrix product.

Needs torch only. The full profile of 1 to 13 crops is ``crop-planner measure``; this compares.
"""

from __future__ import annotations

import argparse
import re
import statistics
from typing import Any, get_args

import torch

from app.core.config import make_config
from app.core.families import DEFAULT_FAMILY, family_named
from app.encoder.device import (
    DtypeChoice,
    choose_device,
    choose_dtype,
    device_name,
    matmul_gflop_per_s,
)
from app.encoder.loading import load_encoder
from app.encoder.profile_plans import profile_plans, synthetic_crops
from benchmarks.timing import save

COUNTS = (1, 2, 7)


def main(arguments: list[str] | None = None) -> None:
    """Print and save a table of total crops × dtype."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_FAMILY)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    options = parser.parse_args(arguments or [])
    device = choose_device()
    family = family_named(options.model)
    plans = profile_plans(make_config(family), options.counts)
    print(
        f"Encoder, {family.name}, random weights, {device_name(device)}, torch {torch.__version__}"
    )
    print("  crops  dtype      p50 ms    min ms    GFLOP   GFLOP/s   of a large product")
    rows: list[dict[str, Any]] = []
    for choice in get_args(DtypeChoice)[1:]:
        dtype = choose_dtype(choice, device)
        encoder = load_encoder(family, checkpoint=None, device=device, dtype=dtype)
        for plan in plans:
            # In the same minute as the passes: the machine's speed drifts.
            rate = matmul_gflop_per_s(device, dtype)
            crops = synthetic_crops(plan, device, dtype)
            passes = [encoder.run_timed(crops) for _ in range(options.repeats + 1)]
            times = [one.vision_ms for one in passes[1:]]
            middle = statistics.median(times)
            speed = plan.flops / middle / 1e6
            print(
                f"  {plan.total_crops:>5}  {choice:<9}{middle:>8.0f}{min(times):>10.0f}"
                f"{plan.flops / 1e9:>9.0f}{speed:>10.0f}{speed / rate:>10.0%} of {rate:.0f}"
            )
            rows.append(
                {
                    "total_crops": plan.total_crops,
                    "dtype": choice,
                    "samples_ms": times,
                    "gflop": plan.flops / 1e9,
                    "gflop_per_s": speed,
                    "matmul_gflop_per_s": rate,
                }
            )
        del encoder
    path = save(
        _name(device),
        {
            "model": family.name,
            "device": device_name(device),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "weights": "random",
            "rows": rows,
        },
    )
    print(f"  saved as benchmarks/results/{path.name}")


def _name(device: torch.device) -> str:
    """Results are named by device and versions."""
    slug = re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    return f"encoder_{device.type}_{slug}_torch-{torch.__version__.partition('+')[0]}"


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
