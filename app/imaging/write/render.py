"""Render a resize decision on pixels, and write the result as a file."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from app.core.control.resizing import ResizeDecision
from app.core.plan.geometry import Size
from app.imaging.write.raster import Raster
from app.imaging.write.resample import Resample

OutputFormat = Literal["jpeg", "png", "webp"]

DEFAULT_QUALITY = 95
_LOSSY = ("jpeg", "webp")
_PNG_OPTIONS = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""The compressor looks for runs only: filtered rows of photos hold little else.

This takes a fifth of the time of level 6. Photos are no larger, and flat graphics by a fifth
(docs/method/pixels.md).
"""


@dataclass(frozen=True, slots=True)
class Output:
    """Choose format, quality and filter of a new image.

    ``form`` None is the original's format, and ``quality`` None the format's default.
    """

    form: OutputFormat | None = None
    quality: int | None = None
    resample: Resample = "lanczos"


def output_format(source_format: str) -> OutputFormat:
    """Return the format of a new file for an upload: its own if we write that, or else PNG."""
    return "jpeg" if source_format == "jpeg" else "webp" if source_format == "webp" else "png"


def output_quality(form: OutputFormat, quality: int | None) -> int | None:
    """Return the encoder's quality, 1 to 100; None for a lossless format."""
    if form not in _LOSSY:
        return None
    return DEFAULT_QUALITY if quality is None else quality


def render(raster: Raster, decision: ResizeDecision, resample: Resample) -> Image.Image:
    """Render the decided image: RGB and upright, with black padding."""
    placed = decision.placed
    target = Size(int(placed.width), int(placed.height))
    content = raster.resized(decision.source, target, resample)
    if target == decision.size:
        return content
    canvas = Image.new("RGB", (decision.size.width, decision.size.height))
    canvas.paste(content, (int(placed.x0), int(placed.y0)))
    return canvas


def write(
    image: Image.Image, form: OutputFormat, quality: int | None, icc_profile: bytes | None
) -> bytes:
    """Encode an image without metadata, except for the colour profile of its pixels."""
    options: dict[str, Any] = {"icc_profile": icc_profile} if icc_profile else {}
    if form in _LOSSY:
        options["quality"] = output_quality(form, quality)
    if form == "png":
        options |= _PNG_OPTIONS
    buffer = io.BytesIO()
    image.save(buffer, form.upper(), **options)
    return buffer.getvalue()
