"""From a kind of picture to its file. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from app.core.plan.plan import CropPlan
from app.imaging.pictures.comparison import draw_comparison
from app.imaging.pictures.coverage import draw_coverage
from app.imaging.pictures.crops import draw_crops
from app.imaging.pictures.engine import drawing
from app.imaging.pictures.kinds import Kind, PictureFormat
from app.imaging.pictures.sheet import Sheet
from app.imaging.pictures.statistics import draw_statistics

Draw = Callable[[CropPlan, Image.Image | None, int], Sheet]

KINDS: dict[Kind, Draw] = {
    "crops": draw_crops,
    "comparison": draw_comparison,
    "statistics": draw_statistics,
    "coverage": draw_coverage,
}


def draw_file(
    kind: Kind, plan: CropPlan, image: Image.Image | None, form: PictureFormat, side_px: int
) -> bytes:
    """As :func:`app.imaging.pictures.draw`, which checks the side."""
    with drawing():
        return KINDS[kind](plan, image, side_px).render(form)
