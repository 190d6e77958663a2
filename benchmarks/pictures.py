"""Pictures of a plan, beside what people draw by hand: imshow, a rectangle and a number a crop.

Both from the file's bytes to a PNG about 1,400 px wide. The hand-drawn one has neither colours that
are told apart by everyone, nor overlaps, padding or a legend.
"""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.encoder.device.device import device_name
from app.imaging.pictures import (
    DEFAULT_SIDE_PX,
    MAX_SIDE_PX,
    Kind,
    PictureFormat,
    draw_upload,
)
from app.imaging.read.header import look
from benchmarks.photos import SAMPLE, find_photos
from benchmarks.timing import ratio, rounds, save

ROUNDS = 9
LARGE = Size(6000, 4000)
MAX_PIXELS = 64_000_000
KINDS: tuple[Kind, ...] = ("crops", "comparison", "statistics", "coverage")
FORMS: tuple[tuple[PictureFormat, int], ...] = (
    ("png", DEFAULT_SIDE_PX),
    ("png", MAX_SIDE_PX),
    ("svg", DEFAULT_SIDE_PX),
)
DPI = 100


def ours(data: bytes, kind: Kind, form: PictureFormat, side_px: int) -> bytes:
    """As ``POST /overlay`` does it."""
    config = make_config(family_named(DEFAULT_FAMILY))
    return draw_upload(kind, data, config, max_pixels=MAX_PIXELS, form=form, side_px=side_px)[1]


def by_hand(data: bytes, plan: CropPlan) -> bytes:
    """The whole file decoded and handed to matplotlib."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    inches = DEFAULT_SIDE_PX / DPI
    figure = Figure(figsize=(inches, inches * image.height / image.width), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.asarray(image))
    axes.axis("off")
    for crop in plan.crops():
        if crop.image_box is not None:
            x0, y0, x1, y1 = crop.image_box.as_tuple()
            colour = f"C{crop.index % 10}"
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, lw=3))
            axes.text((x0 + x1) / 2, (y0 + y1) / 2, str(crop.index), color=colour, fontsize=20)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def main() -> None:
    """Print and save the figures."""
    small = SAMPLE.read_bytes()
    photos = find_photos(Path("/usr/share"))
    files = {"0.3 MP": small, "24 MP": photos.single(LARGE)}
    config = make_config(family_named(DEFAULT_FAMILY))
    variants: dict[str, Callable[[], object]] = {}
    for name, data in files.items():
        plan = make_plan(look(data, max_pixels=MAX_PIXELS).size, config)
        variants[f"{name}: by hand"] = partial(by_hand, data, plan)
        for kind in KINDS:
            for form, side_px in FORMS if name == "0.3 MP" else FORMS[:1]:
                what = f"{name}: {kind}, {form}, {side_px} px"
                variants[what] = partial(ours, data, kind, form, side_px)
    seconds = rounds(variants, ROUNDS)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"Pictures of a plan, {ROUNDS} rounds")
    for name, s in medians.items():
        print(f"  {name:<36}{s * 1e3:8.0f} ms (median)")
    ratios = {}
    for name in files:
        crops = f"{name}: crops, png, {DEFAULT_SIDE_PX} px"
        least, middle, most = ratio(seconds, f"{name}: by hand", crops)
        ratios[name] = {"min": least, "median": middle, "max": most}
        print(f"  {name}: by hand / crops {middle:.2f} ({least:.2f} to {most:.2f})")
    path = save(
        "pictures",
        {
            "device": device_name(torch.device("cpu")),
            "photo": photos.names[0],
            "rounds": ROUNDS,
            "median_s": medians,
            "by_hand_over_crops": ratios,
        },
    )
    print(f"  saved as benchmarks/results/{path.name}")


if __name__ == "__main__":
    main()
