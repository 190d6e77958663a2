"""How many images of a set are a few px from another tiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.control.headroom import Headroom, height_headroom, width_headroom
from app.core.errors import CollapsedImage
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.report.figures.averages import Planned

NEAR_PX = 16
"""An image is near a cliff if so few px of one side, more or less, give it another tiling."""


@dataclass(frozen=True, slots=True)
class Cliffs:
    """Images near a cliff.

    ``near_cheaper`` are those whose prompt gets shorter if one side is made at most ``within_px``
    smaller; ``mean_tokens_saved`` is what that saves each of them, and 0 where there is none.
    """

    within_px: int
    near: int
    near_cheaper: int
    mean_tokens_saved: float


def count_cliffs(planned: Sequence[Planned]) -> Cliffs:
    """Count the images near a cliff, and what crossing it saves."""
    near = cheaper = saved = 0
    for one in planned:
        width, height = _near(width_headroom(one.plan)), _near(height_headroom(one.plan))
        if all(px is None for px in (width.down, width.up, height.down, height.up)):
            continue
        near += one.images
        tokens = _tokens_saved(one.plan, width, height)
        if tokens > 0:
            cheaper += one.images
            saved += one.images * tokens
    return Cliffs(NEAR_PX, near, cheaper, saved / cheaper if cheaper else 0.0)


def _near(headroom: Headroom) -> Headroom:
    """Return the headroom with None for all that is not near."""
    down, up = (
        px if px is not None and px < NEAR_PX else None for px in (headroom.down, headroom.up)
    )
    return Headroom(down, up)


def _tokens_saved(plan: CropPlan, width: Headroom, height: Headroom) -> int:
    """Prompt tokens fewer beyond the nearest cliff of either side; 0 where none is so near."""
    smaller = []
    if width.down is not None:
        smaller.append(Size(plan.image.width - width.down - 1, plan.image.height))
    if height.down is not None:
        smaller.append(Size(plan.image.width, plan.image.height - height.down - 1))
    return max((plan.tokens.prompt - _prompt(size, plan) for size in smaller), default=0)


def _prompt(size: Size, plan: CropPlan) -> int:
    try:
        return make_plan(size, plan.config).tokens.prompt
    except CollapsedImage:
        return plan.tokens.prompt
