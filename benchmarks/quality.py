"""Time the measurement of quality, and compare samples of pixels with all pixels.

``PHOTOS=folder python -m benchmarks quality`` compares over the photos in a folder (JPEG or PNG, of
1 MP and more). Without photos only the times are taken, on the sample photo made larger.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, product
from math import sqrt
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image

from app.core.control.resizing import DecidedMode, ResizeDecision, Target, decide_resize
from app.core.errors import UnreachableTarget
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Box, Size
from app.encoder.device.device import device_name
from app.imaging.quality import COMPARED_PX, QualityMeter
from benchmarks.photos import SAMPLE
from benchmarks.timing import run

TIMED = (Size(640, 427), Size(1632, 1224), Size(4000, 3000))
TIMED_TO = (336, 1008, 2000)
ROUNDS = 9
CROPS = (1, 4, 12)
SAMPLES_PX = (250_000, COMPARED_PX, 1_000_000)
REDUCED_PX = (500_000, 2_000_000)
ALL_PX = 10**9


def photos() -> dict[str, Path]:
    """Return the photos in the folder ``PHOTOS``, by name."""
    folder = os.environ.get("PHOTOS")
    files = sorted(Path(folder).iterdir()) if folder else []
    return {file.name: file for file in files if file.suffix.lower() in (".jpg", ".jpeg", ".png")}


def measured(luma: Image.Image, size: Size) -> None:
    """Measure once, with a new meter."""
    QualityMeter(luma).at(size)


def measurements(photo: Image.Image) -> dict[str, Callable[[], None]]:
    """Measure the quality of one size from luma, by the sizes of original and result."""
    variants: dict[str, Callable[[], None]] = {}
    for original in TIMED:
        luma = photo.convert("L").resize((original.width, original.height))
        for width in TIMED_TO:
            size = Size(width, width * original.height // original.width)
            variants[f"{original} to {size}"] = partial(measured, luma, size)
    return variants


def decisions(size: Size) -> Iterator[ResizeDecision]:
    """Yield the decisions for an image of this size that exist."""
    config = make_config(family_named(DEFAULT_FAMILY))
    modes = [mode for mode in get_args(DecidedMode) if mode != "unchanged"]
    for crops, mode in product(CROPS, modes):
        try:
            yield decide_resize(size, config, Target(crops=crops), mode=mode).decision
        except UnreachableTarget:
            continue


def ssims(photo: Image.Image) -> dict[str, list[float]]:
    """Return the SSIM of every decision: of all pixels, of samples, and of a reduced original."""
    size = Size(photo.width, photo.height)
    made = [
        (Size(int(one.placed.width), int(one.placed.height)), one.source) for one in decisions(size)
    ]
    ways = {"all": ALL_PX, **{f"sample of {px} px": px for px in SAMPLES_PX}}
    found = {}
    for name, most_px in ways.items():
        meter = QualityMeter(photo, most_px=most_px)
        found[name] = [meter.at(content, source).ssim for content, source in made]
    for px in REDUCED_PX:
        scale = min(1.0, sqrt(px / size.pixels))
        reduced = photo.resize((round(size.width * scale), round(size.height * scale)))
        meter = QualityMeter(reduced, most_px=ALL_PX)
        across, down = reduced.width / size.width, reduced.height / size.height
        found[f"reduced to {px} px"] = [
            meter.at(content, _scaled(source, across, down)).ssim for content, source in made
        ]
    return found


def _scaled(box: Box, across: float, down: float) -> Box:
    return Box(box.x0 * across, box.y0 * down, box.x1 * across, box.y1 * down)


def deviations(by_photo: Sequence[Mapping[str, Sequence[float]]], way: str) -> dict[str, Any]:
    """Compare a way with all pixels: its errors, and the pairs of results in another order."""
    errors: list[float] = []
    pairs = 0
    swapped: list[float] = []
    for found in by_photo:
        errors += [got - true for got, true in zip(found[way], found["all"], strict=True)]
        for (got, true), (other, other_true) in combinations(
            zip(found[way], found["all"], strict=True), 2
        ):
            pairs += 1
            if (got - other) * (true - other_true) < 0:
                swapped.append(abs(true - other_true))
    return {
        "mean_error": statistics.fmean(errors),
        "rms_error": sqrt(statistics.fmean(error * error for error in errors)),
        "largest_error": max(map(abs, errors)),
        "pairs": pairs,
        "swapped": len(swapped),
        "largest_gap_swapped": max(swapped, default=0.0),
    }


def main() -> None:
    """Print and save the times, and the errors over the photos in ``PHOTOS``."""
    chosen = photos()
    by_photo = []
    for path in chosen.values():
        with Image.open(path) as photo:
            by_photo.append(ssims(photo.convert("RGB")))
    found = {way: deviations(by_photo, way) for way in by_photo[0]} if by_photo else {}
    if not found:
        print("  PHOTOS is not set to a folder with photos: no comparison with all pixels")
    for way, row in found.items():
        print(
            f"  {way:<24} SSIM error: mean {row['mean_error']:+.4f}, rms {row['rms_error']:.4f}, "
            f"largest {row['largest_error']:.4f}; {row['swapped']} of {row['pairs']} pairs "
            f"swapped, by {row['largest_gap_swapped']:.4f} at most"
        )
    with Image.open(SAMPLE) as file:
        variants = measurements(file.convert("RGB"))
    run(
        "quality",
        f"Quality of one size, {COMPARED_PX} px compared at most",
        variants,
        count=ROUNDS,
        device=device_name(torch.device("cpu")),
        compared_px=COMPARED_PX,
        photos=list(chosen),
        against_all_pixels=found,
    )


if __name__ == "__main__":
    main()
