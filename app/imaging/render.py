"""Carry a resize decision out on pixels, and write the result as a file."""

from __future__ import annotations

import io
from typing import Any, Literal

from PIL import Image

from app.core.sizing import ResizeDecision
from app.imaging.decode import Picture

OutputFormat = Literal["jpeg", "png", "webp"]
Resample = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

MEDIA_TYPES: dict[str, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}
DEFAULT_QUALITY = 95
_LOSSY = ("jpeg", "webp")


def output_format(source_format: str) -> OutputFormat:
    """What an image of ``source_format`` is written as when nothing is asked: its own, or PNG."""
    return "jpeg" if source_format == "jpeg" else "webp" if source_format == "webp" else "png"


def output_quality(form: OutputFormat, quality: int | None) -> int | None:
    """The encoder quality in force, 1 to 100; None where the format is lossless."""
    if form not in _LOSSY:
        return None
    return DEFAULT_QUALITY if quality is None else quality


def render(picture: Picture, decision: ResizeDecision, resample: Resample) -> Image.Image:
    """The decided image: RGB, upright, black where no content is placed."""
    placed = decision.placed
    target = (int(placed.x1 - placed.x0), int(placed.y1 - placed.y0))
    content = picture.pixels.resize(
        target, Image.Resampling[resample.upper()], box=decision.source.as_tuple()
    )
    if target == (decision.size.width, decision.size.height):
        return content
    canvas = Image.new("RGB", (decision.size.width, decision.size.height))
    canvas.paste(content, (int(placed.x0), int(placed.y0)))
    return canvas


def write(
    image: Image.Image, form: OutputFormat, quality: int | None, icc_profile: bytes | None
) -> bytes:
    """Encode without metadata but the colour profile, without which colours would be others."""
    options: dict[str, Any] = {"icc_profile": icc_profile} if icc_profile else {}
    if form in _LOSSY:
        options["quality"] = output_quality(form, quality)
    buffer = io.BytesIO()
    image.save(buffer, form.upper(), **options)
    return buffer.getvalue()
