"""The photo under a drawing: decoded no larger than it is drawn, and brought to the drawn size."""

from __future__ import annotations

from PIL import Image

from app.core.canvas import Canvas
from app.core.geometry import Box, Size
from app.imaging.facts import ImageFacts
from app.imaging.raster import load_raster
from app.imaging.resample import resize

PLAIN = (226, 229, 233)
"""Stands for the picture where only its size is known."""
BLACK = (0, 0, 0)
"""Molmo's padding, before it is normalised."""


def load_ground(data: bytes, facts: ImageFacts, *, max_pixels: int, side_px: int) -> Image.Image:
    """An upload as the ground of a drawing: upright RGB, its longer side at most ``side_px``.

    Decodes all of the file, a large JPEG at a fraction of its size.

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


def scaled(image: Image.Image | None, size: Size) -> Image.Image:
    """The picture at exactly this size; plain where there is none."""
    if image is None:
        return Image.new("RGB", (size.width, size.height), PLAIN)
    if image.size == (size.width, size.height):
        return image
    return resize(image, size, Box(0, 0, image.width, image.height), "lanczos")


def on_canvas(image: Image.Image | None, canvas: Canvas, drawn: Size) -> Image.Image:
    """A whole canvas at this size, its padding black."""
    across, down = drawn.width / canvas.width, drawn.height / canvas.height
    content = canvas.content
    x0, x1 = _span(content.x0 * across, content.x1 * across, drawn.width)
    y0, y1 = _span(content.y0 * down, content.y1 * down, drawn.height)
    made = Image.new("RGB", (drawn.width, drawn.height), BLACK)
    made.paste(scaled(image, Size(x1 - x0, y1 - y0)), (x0, y0))
    return made


def _span(start: float, end: float, limit: int) -> tuple[int, int]:
    """Whole px, at least one."""
    first = min(round(start), limit - 1)
    return first, max(first + 1, round(end))
