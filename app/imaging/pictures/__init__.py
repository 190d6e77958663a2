"""Pictures of a plan: its crops on the image, side by side, its overlap as figures and as a map.

Nothing of matplotlib is imported until something is drawn, so that services start without it.
"""

from __future__ import annotations

from PIL import Image

from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.pictures.ground import load_ground
from app.imaging.pictures.kinds import (
    DEFAULT_SIDE_PX,
    MAX_SIDE_PX,
    MEDIA_TYPES,
    MIN_SIDE_PX,
    NEEDS_PICTURE,
    Kind,
    PictureFormat,
    check_side,
)
from app.imaging.read.header import look

__all__ = [
    "DEFAULT_SIDE_PX",
    "MAX_SIDE_PX",
    "MEDIA_TYPES",
    "MIN_SIDE_PX",
    "NEEDS_PICTURE",
    "Kind",
    "PictureFormat",
    "check_side",
    "draw",
    "draw_upload",
    "load_ground",
]


def draw(
    kind: Kind,
    plan: CropPlan,
    image: Image.Image | None,
    *,
    form: PictureFormat = "png",
    side_px: int = DEFAULT_SIDE_PX,
) -> bytes:
    """A picture of a plan as a file: same arguments, same bytes.

    From any thread; drawings wait for one another. To draw in parallel, use processes.

    Args:
        kind: ``crops``, ``comparison``, ``statistics`` or ``coverage`` (docs/method/pictures.md).
        plan: what is shown.
        image: the picture that was planned: upright 8-bit RGB of any size with its aspect, best
            by :func:`load_ground`. None where only the size is known: a plain ground is drawn.
        form: ``png``; or ``svg``, in which all but the picture is vectors, text included.
        side_px: longer side of the drawing itself, which text beside it is added to,
            ``MIN_SIDE_PX`` to ``MAX_SIDE_PX``. However large the picture is.

    Raises:
        InvalidConfig: ``side_px`` is outside of its bounds.
    """
    check_side(side_px)
    # matplotlib takes 0.3 s to import.
    from app.imaging.pictures.drawing import draw_file

    return draw_file(kind, plan, image, form, side_px)


def draw_upload(
    kind: Kind,
    data: bytes,
    config: CropConfig,
    *,
    max_pixels: int,
    form: PictureFormat = "png",
    side_px: int = DEFAULT_SIDE_PX,
) -> tuple[CropPlan, bytes]:
    """The plan of an image file and a picture of it, decoded only where the kind shows it.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding says.
        CollapsedImage: the image has no plan.
        InvalidConfig: ``side_px`` is outside of its bounds.
    """
    check_side(side_px)  # before anything is decoded
    facts = look(data, max_pixels=max_pixels)
    plan = make_plan(facts.size, config)
    image = None
    if kind in NEEDS_PICTURE:
        image = load_ground(data, facts, max_pixels=max_pixels, side_px=side_px)
    return plan, draw(kind, plan, image, form=form, side_px=side_px)
