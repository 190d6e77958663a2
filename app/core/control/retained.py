"""Count the retained pixels of an original, and their share for each patch of the encoder."""

from dataclasses import dataclass

from app.core.control.resizing import ResizeDecision
from app.core.plan.geometry import Box
from app.core.plan.plan import CropPlan


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """Hold the quality of a resized image.

    ``ssim`` is from -1 to 1, and 1 if nothing was lost. ``psnr_db`` is None if no compared pixel
    differs.
    """

    ssim: float
    psnr_db: float | None


def retained_pixels(plan: CropPlan, decision: ResizeDecision | None = None) -> float:
    """Count the pixels of the original that reach the encoder at the grid crops' resolution.

    Along each axis, content passes through at most three sizes in px: the part taken of the
    original, its size after the resize, and its size on the canvas. The smallest of them is
    retained, and the two axes are multiplied::

        retained = min(source_w, placed_w, canvas_w) * min(source_h, placed_h, canvas_h)

    Enlarging therefore adds nothing, and one axis does not make up for the other. Padding is no
    content. A pixel in two crops, or again in the global crop, counts once.

    Args:
        plan: of the image that is given to the model.
        decision: the making of that image; None if it is the original.

    Returns:
        px of the original; the number may be fractional.

    Raises:
        ValueError: the plan is of another size than the decision makes.
    """
    if decision is not None and decision.size != plan.image:
        raise ValueError(f"the decision makes {decision.size} px, the plan is of {plan.image} px")
    source = decision.source if decision else Box.of(plan.image)
    placed = decision.placed if decision else Box.of(plan.image)
    across = min(source.width, placed.width, placed.width * plan.canvas.scale_x)
    down = min(source.height, placed.height, placed.height * plan.canvas.scale_y)
    return across * down


def retained_pixels_per_patch(plan: CropPlan, decision: ResizeDecision | None = None) -> float:
    """Divide :func:`retained_pixels` by the patches that the encoder runs, global crop included.

    Padding and overlap lower the quotient. A patch shows ``patch_size_px ** 2`` px of the canvas,
    and patches run outnumber those of the canvas. So the quotient is at most ``patch_size_px ** 2 *
    canvas patches / patches run``. An image of the canvas's size reaches that: 98 px for Molmo 1's
    1x1, half of a patch, as the global crop shows the same again.

    Raises:
        ValueError: as :func:`retained_pixels` does.
    """
    return retained_pixels(plan, decision) / (plan.total_crops * plan.config.crop_patches**2)
