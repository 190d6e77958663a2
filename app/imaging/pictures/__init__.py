"""Draw pictures of a plan: crops on the image, crops side by side, overlap as bars and as a map.

Services start without matplotlib: only a drawing imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from PIL import Image

from app.core.errors import InvalidConfig
from app.core.image import ImageFacts
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Size
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.read.header import look
from app.imaging.write.raster import load_raster

if TYPE_CHECKING:
    from app.imaging.pictures.sheet import Sheet

Kind = Literal["crops", "comparison", "statistics", "coverage"]
PictureFormat = Literal["png", "svg"]

NEEDS_PICTURE: frozenset[Kind] = frozenset(("crops", "comparison", "coverage"))
"""These kinds show the picture; the others need no decoding."""

DEFAULT_SIDE_PX = 1400
MIN_SIDE_PX = 200
MAX_SIDE_PX = 4096
"""The longer side of a drawing stays within these bounds."""

MEDIA_TYPES: dict[PictureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}


def draw(
    kind: Kind,
    plan: CropPlan,
    image: Image.Image | None,
    *,
    form: PictureFormat = "png",
    side_px: int = DEFAULT_SIDE_PX,
) -> bytes:
    """Draw a plan into a file; the same arguments give the same bytes.

    Any thread may call, and drawings wait for one another. Use processes to draw in parallel.

    Args:
        kind: the kind of picture; see docs/method/pictures.md.
        plan: the plan to draw.
        image: the planned picture as upright 8-bit RGB, of any size with its aspect, best from
            :func:`load_ground`. None draws a plain ground.
        form: ``png``, or ``svg``: vectors, text included, over the picture.
        side_px: longer side of the drawing, ``MIN_SIDE_PX`` to ``MAX_SIDE_PX``. Text around the
            drawing comes on top.

    Raises:
        InvalidConfig: ``side_px`` is out of its bounds.
    """
    check_side(side_px)
    from app.imaging.pictures.sheet import drawing  # matplotlib takes 0.3 s to import

    with drawing():
        sheet = lay_out(kind, plan, image, side_px)
        return sheet.png() if form == "png" else sheet.svg()


def draw_upload(
    kind: Kind,
    data: bytes,
    config: CropConfig,
    *,
    max_pixels: int,
    form: PictureFormat = "png",
    side_px: int = DEFAULT_SIDE_PX,
) -> tuple[CropPlan, bytes]:
    """Plan and draw an image file. Only kinds in ``NEEDS_PICTURE`` decode it.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding does.
        CollapsedImage: the image has no plan.
        InvalidConfig: ``side_px`` is out of its bounds.
    """
    check_side(side_px)  # before the decoding
    facts = look(data, max_pixels=max_pixels)
    plan = make_plan(facts.size, config)
    image = None
    if kind in NEEDS_PICTURE:
        image = load_ground(data, facts, max_pixels=max_pixels, side_px=side_px)
    return plan, draw(kind, plan, image, form=form, side_px=side_px)


def load_ground(data: bytes, facts: ImageFacts, *, max_pixels: int, side_px: int) -> Image.Image:
    """Load an upload as the ground of a drawing: upright RGB, its longer side at most ``side_px``.

    All of the file is decoded, a large JPEG at a fraction of its size.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding says.
    """
    size = facts.size
    reduction = max(1.0, max(size.width, size.height) / side_px)
    raster = load_raster(data, facts, max_pixels=max_pixels, reduction=reduction)
    drawn = Size(
        max(1, round(size.width / reduction)),
        max(1, round(size.height / reduction)),
    )
    return raster.resized(Box(0, 0, size.width, size.height), drawn, "lanczos")


def check_side(side_px: int) -> None:
    """Refuse a side out of its bounds.

    Raises:
        InvalidConfig: with the bound and the value.
    """
    if not MIN_SIDE_PX <= side_px <= MAX_SIDE_PX:
        raise InvalidConfig(
            f"side_px must be between {MIN_SIDE_PX} and {MAX_SIDE_PX}, got {side_px}",
            parameter="side_px",
            limit=MIN_SIDE_PX if side_px < MIN_SIDE_PX else MAX_SIDE_PX,
            actual=side_px,
        )


def lay_out(kind: Kind, plan: CropPlan, image: Image.Image | None, side_px: int) -> Sheet:
    """Lay a picture out on a sheet, inside of ``sheet.drawing()``. See :func:`draw`."""
    from app.imaging.pictures.bars import draw_statistics
    from app.imaging.pictures.comparison import draw_comparison
    from app.imaging.pictures.coverage import draw_coverage
    from app.imaging.pictures.crops import draw_crops

    draw_kind = {
        "crops": draw_crops,
        "comparison": draw_comparison,
        "statistics": draw_statistics,
        "coverage": draw_coverage,
    }[kind]
    return draw_kind(plan, image, side_px)
