"""Time pictures of a plan beside drawings by hand: imshow, with a rectangle and a number a crop.

Both go from the bytes of a file to a PNG about 1,400 px wide. The drawing by hand has no overlaps,
no padding, no legend and no colours for the colour-blind.
"""

from __future__ import annotations

import io
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
from benchmarks.timing import run

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
    """Draw as ``POST /overlay`` does."""
    config = make_config(family_named(DEFAULT_FAMILY))
    return draw_upload(kind, data, config, max_pixels=MAX_PIXELS, form=form, side_px=side_px)[1]


def by_hand(data: bytes, plan: CropPlan) -> bytes:
    """Decode the whole file and pass it to matplotlib."""
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
    """Print and save the times."""
    small = SAMPLE.read_bytes()
    photos = find_photos(Path("/usr/share"))
    files = {"0.3 MP": small, "24 MP": photos.single(LARGE)}
    config = make_config(family_named(DEFAULT_FAMILY))
    variants: dict[str, Callable[[], object]] = {}
    for name, data in files.items():
        plan = make_plan(look(data, max_pixels=MAX_PIXELS).size, config)
        variants[f"{name}: by hand"] = partial(by_hand, data, plan)
        for kind in KINDS:
            for form, side_px in FORMS if data is small else FORMS[:1]:
                what = f"{name}: {kind}, {form}, {side_px} px"
                variants[what] = partial(ours, data, kind, form, side_px)
    run(
        "pictures",
        "Pictures of a plan",
        variants,
        count=ROUNDS,
        ratios=[
            (f"{name}: by hand", f"{name}: crops, png, {DEFAULT_SIDE_PX} px") for name in files
        ],
        device=device_name(torch.device("cpu")),
        photo=photos.names[0],
    )


if __name__ == "__main__":
    main()
