"""How much of an original is kept, and how much of it each patch of the encoder is spent on."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.control.resizing import ResizeDecision
from app.core.plan.geometry import Box
from app.core.plan.plan import CropPlan


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """``ssim``: -1 to 1, 1 if nothing was lost. ``psnr_db``: None if no pixel compared differs."""

    ssim: float
    psnr_db: float | None


def kept_pixels(plan: CropPlan, decision: ResizeDecision | None = None) -> float:
    """Pixels of the original that reach the encoder at the grid crops' resolution.

    Along each axis, content passes through at most three sizes in px: the part of the original that
    is taken, what the resize makes of it, and what that is on the canvas. The smallest of them is
    kept, and the two axes are multiplied::

        kept = min(source_w, placed_w, canvas_w) * min(source_h, placed_h, canvas_h)

    Enlarging therefore adds nothing, and one axis does not make up for the other. Padding is no
    content. What two crops both show, and the global crop shows again, counts once.

    Args:
        plan: of the image as it is given to the model.
        decision: how that image was made of the original; None if it is the original.

    Returns:
        px of the original; a fraction where the canvas scales a decision's content to one.

    Raises:
        ValueError: the plan is of another size than the decision makes.
    """
    if decision is not None and decision.size != plan.image:
        raise ValueError(f"the decision makes {decision.size} px, the plan is of {plan.image} px")
    whole = plan.image.width, plan.image.height
    source_w, source_h = _sides(decision.source) if decision else whole
    placed_w, placed_h = _sides(decision.placed) if decision else whole
    canvas_w, canvas_h = placed_w * plan.canvas.scale_x, placed_h * plan.canvas.scale_y
    return min(source_w, placed_w, canvas_w) * min(source_h, placed_h, canvas_h)


def kept_pixels_per_patch(plan: CropPlan, decision: ResizeDecision | None = None) -> float:
    """:func:`kept_pixels` per patch that the encoder runs, those of the global crop included.

    What padding and overlap waste lowers it. A patch shows ``patch_size_px ** 2`` px of the canvas,
    and patches run outnumber those of the canvas, so it is at most ``patch_size_px ** 2 * canvas
    patches / patches run``. That is reached by an image of just the canvas's size: 98 px for Molmo
    1's 1x1, half of a patch, as the global crop shows the same again.

    Raises:
        ValueError: as :func:`kept_pixels` says.
    """
    return kept_pixels(plan, decision) / (plan.total_crops * plan.config.crop_patches**2)


def _sides(box: Box) -> tuple[float, float]:
    """Width and height."""
    return box.x1 - box.x0, box.y1 - box.y0
