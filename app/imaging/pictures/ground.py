"""Load and cut the photo under a drawing, no larger than it is drawn."""

from __future__ import annotations

from PIL import Image

from app.core.image import ImageFacts
from app.core.plan.canvas import Canvas
from app.core.plan.geometry import Box, Size
from app.imaging.write.raster import load_raster
from app.imaging.write.resample import resize

PLAIN = (226, 229, 233)
"""A plan without a picture has this ground."""
BLACK = (0, 0, 0)
"""Molmo pads with black, before the normalisation."""


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


def cut_out(image: Image.Image | None, canvas: Canvas, box: Box, drawn: Size) -> Image.Image:
    """Cut a part out of a canvas, at a size. Padding is black.

    Args:
        image: all of the planned picture, at any size; None for a plain ground.
        canvas: the canvas of the plan.
        box: the part, in px of the canvas.
        drawn: the size in px.
    """
    source, visible = canvas.to_image(box), box.intersect(canvas.content)
    if source is None or visible is None:
        return Image.new("RGB", (drawn.width, drawn.height), BLACK)
    across, down = drawn.width / box.width, drawn.height / box.height
    x0, x1 = _span((visible.x0 - box.x0) * across, (visible.x1 - box.x0) * across, drawn.width)
    y0, y1 = _span((visible.y0 - box.y0) * down, (visible.y1 - box.y0) * down, drawn.height)
    content = _scaled(image, canvas.image, source, Size(x1 - x0, y1 - y0))
    if visible == box:
        return content
    made = Image.new("RGB", (drawn.width, drawn.height), BLACK)
    made.paste(content, (x0, y0))
    return made


def _scaled(image: Image.Image | None, original: Size, part: Box, size: Size) -> Image.Image:
    """Resize a part of the picture, in px of its original; plain without a picture."""
    if image is None:
        return Image.new("RGB", (size.width, size.height), PLAIN)
    across, down = image.width / original.width, image.height / original.height
    source = Box(
        part.x0 * across,
        part.y0 * down,
        min(part.x1 * across, image.width),
        min(part.y1 * down, image.height),
    )
    if image.size == (size.width, size.height) and source == Box(0, 0, *image.size):
        return image
    return resize(image, size, source, "lanczos")


def _span(start: float, end: float, limit: int) -> tuple[int, int]:
    """Round to whole px, at least one."""
    first = min(round(start), limit - 1)
    return first, min(limit, max(first + 1, round(end)))
