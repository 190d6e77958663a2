"""Plans that are hard to draw, and pictures for them."""

import numpy as np
from PIL import Image

from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan

MOLMO_1, MOLMO_2 = "molmo-7b-d-0924", "molmo2-8b"


def plan_of(width: int, height: int, model: str = MOLMO_1, **config) -> CropPlan:
    return make_plan(Size(width, height), make_config(family_named(model), **config))


HOSTILE = {
    "1x1": plan_of(300, 200),
    "1x2": plan_of(500, 300),
    "2x2": plan_of(512, 512),
    "2x3": plan_of(640, 427),
    "3x4": plan_of(6000, 4000),
    "1x12": plan_of(4000, 112),
    "12x1": plan_of(112, 4000),
    "a line": plan_of(100_000, 300),
    "8x8": plan_of(3000, 3000, max_crops=64),
    "1x64": plan_of(60_000, 400, max_crops=64),
    "64x1": plan_of(400, 60_000, max_crops=64),
    "20 px": plan_of(20, 20),
    "1 px": plan_of(1, 1),
    "no margins": plan_of(900, 700, overlap_margins=(0, 0)),
    "odd margins": plan_of(900, 700, overlap_margins=(2, 6)),
    "half a crop": plan_of(900, 700, crop_size_px=224, max_crops=30),
    "window of two": plan_of(900, 700, overlap_margins=(12, 10), max_crops=64),
    "small crops": plan_of(900, 700, crop_size_px=126, overlap_margins=(2, 2), max_crops=64),
    "large crops": plan_of(40_000, 30_000, crop_size_px=4088, max_crops=64),
    "Molmo 2: 1x1": plan_of(200, 300, MOLMO_2),
    "Molmo 2: 2x2": plan_of(640, 480, MOLMO_2),
    "Molmo 2: 2x3": plan_of(1280, 720, MOLMO_2),
    "Molmo 2: 1x8": plan_of(4000, 150, MOLMO_2),
    "Molmo 2: 8x1": plan_of(150, 4000, MOLMO_2),
    "Molmo 2: a line": plan_of(3, 100_000, MOLMO_2),
    "Molmo 2: window of one": plan_of(600, 400, MOLMO_2, overlap_margins=(13, 13), max_crops=64),
    "Molmo 2: odd margins": plan_of(600, 400, MOLMO_2, overlap_margins=(3, 6), max_crops=24),
}


def picture_for(plan: CropPlan, longest: int = 600) -> Image.Image:
    """Colours that run from corner to corner, with the aspect of the plan's image."""
    scale = min(1.0, longest / max(plan.image.width, plan.image.height))
    width = max(1, round(plan.image.width * scale))
    height = max(1, round(plan.image.height * scale))
    across = np.linspace(40, 215, width)[None, :].repeat(height, 0)
    down = np.linspace(40, 215, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([across, down, 255 - across], 2).astype(np.uint8))
