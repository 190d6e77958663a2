"""Render a resize decision into a file, and verify that the file gets the decided tiling."""

import io
import zlib
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

from PIL import Image

from app.core.control.resizing import ResizeDecision
from app.core.errors import InvalidConfig, TooManyPixels, UnreachableTarget
from app.core.image import ImageFacts
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.imaging.read.decode import Picture
from app.imaging.write.raster import Raster, as_raster, load_raster
from app.imaging.write.resample import Resample

OutputFormat = Literal["jpeg", "png", "webp"]

DEFAULT_QUALITY = 95
_LOSSY = ("jpeg", "webp")
_PNG_OPTIONS = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""The compressor looks for runs only: filtered rows of photos hold little else.

This takes a fifth of the time of level 6. Photos are no larger, and flat graphics by a fifth
(docs/method/pixels.md).
"""
_LONGEST_SIDE_PX: dict[OutputFormat, int] = {"jpeg": 65_535, "webp": 16_383, "png": 2**31 - 1}
"""No format can hold a longer side."""


@dataclass(frozen=True, slots=True)
class Output:
    """Choose format, quality and filter of a new image.

    ``form`` None is the original's format, and ``quality`` None the format's default.
    """

    form: OutputFormat | None = None
    quality: int | None = None
    resample: Resample = "lanczos"


@dataclass(frozen=True, slots=True)
class MadeFile:
    """Hold the file of a decision.

    Attributes:
        data: the file; None for a decision alone.
        form: Pillow's name of the file's format, in lower case.
        quality: of the file's encoder; None for a lossless file, and for the upload itself.
    """

    data: bytes | None
    form: str
    quality: int | None


def output_format(source_format: str) -> OutputFormat:
    """Return the format of a new file for an upload: its own if we write that, or else PNG."""
    return "jpeg" if source_format == "jpeg" else "webp" if source_format == "webp" else "png"


def output_quality(form: OutputFormat, quality: int | None) -> int | None:
    """Return the encoder's quality, 1 to 100; None for a lossless format."""
    if form not in _LOSSY:
        return None
    return DEFAULT_QUALITY if quality is None else quality


def may_stay(facts: ImageFacts, output: Output) -> bool:
    """Return True if the upload itself could be the answer.

    A new file is made for another format, for a quality in a lossy format, and for pixels that are
    stored turned: answers are upright.
    """
    quality = output.quality
    same_quality = quality is None or output_quality(output_format(facts.format), quality) is None
    return facts.orientation == 1 and same_quality and output.form in (None, facts.format)


def check_result(decision: ResizeDecision, form: OutputFormat, *, max_pixels: int) -> None:
    """Refuse a result that is too large, before the work on it.

    Raises:
        TooManyPixels: above the limit.
        InvalidConfig: a side is too long for the format.
    """
    size = decision.size
    if size.pixels > max_pixels:
        raise TooManyPixels(
            f"the result would be {size} px, {size.pixels} pixels in all; "
            f"the limit is {max_pixels}",
            limit=max_pixels,
            actual=size.pixels,
        )
    longest, limit = max(size.width, size.height), _LONGEST_SIDE_PX[form]
    if longest > limit:
        raise InvalidConfig(
            f"a {form} image has sides of at most {limit} px; the result would be {size} px",
            parameter="format",
            limit=limit,
            actual=longest,
        )


def make_file(
    data: bytes,
    facts: ImageFacts,
    decision: ResizeDecision,
    config: CropConfig,
    output: Output,
    *,
    max_pixels: int,
    make: bool = True,
    picture: Picture | None = None,
) -> MadeFile:
    """Make the decided file and verify it. The mode ``unchanged`` returns the upload itself.

    All of the upload is decoded, at a fraction of its size if that is enough, so a damaged file is
    refused here at the latest.

    Args:
        data: the upload.
        facts: the facts about the upload.
        decision: the decided size, tiling and place of the content.
        config: the configuration that plans the result.
        output: format, quality and filter of a new file.
        max_pixels: the most pixels of the upload and of the result.
        make: make the file; else only check that it can be made, and decode no pixel.
        picture: the decoded upload, if there is one already.

    Raises:
        UndecodableImage: the file is damaged.
        TooManyPixels, InvalidConfig: as :func:`check_result` does.
        UnreachableTarget: the new file gets another tiling than the decided one.
    """
    form = output.form or output_format(facts.format)
    check_result(decision, form, max_pixels=max_pixels)
    unchanged = decision.mode == "unchanged"
    file = MadeFile(
        None,
        facts.format if unchanged else form,
        None if unchanged else output_quality(form, output.quality),
    )
    if not make:
        return file
    if picture is not None:
        raster = as_raster(picture)
    else:
        reduction = inf if unchanged else _reduction(decision, output.resample)
        raster = load_raster(data, facts, max_pixels=max_pixels, reduction=reduction)
    if unchanged:
        return replace(file, data=data)
    pixels = render(raster, decision, output.resample)
    made = write(pixels, form, output.quality, raster.icc_profile)
    _verify(made, decision, config, form)
    return replace(file, data=made)


def _reduction(decision: ResizeDecision, resample: Resample) -> float:
    """Return the original px for each px of the result, on the side that retains more."""
    if resample in ("nearest", "box"):
        return 1  # these filters take the original's own pixels
    return 1 / max(decision.scale_x, decision.scale_y)


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


def _verify(data: bytes, decision: ResizeDecision, config: CropConfig, form: OutputFormat) -> None:
    """Read the size back from the new file and plan it again. Raises UnreachableTarget."""
    with Image.open(io.BytesIO(data), formats=[form]) as made:
        size = Size(made.width, made.height)
    grid = make_plan(size, config).grid
    if grid != decision.grid:
        raise UnreachableTarget(
            f"the result of {size} px gets {grid}, not {decision.grid}; please report this",
            limit=str(decision.grid),
            actual=str(grid),
            reachable=[],
        )
