"""From a decision to the file, verified: nothing leaves that does not give what was decided."""

from __future__ import annotations

import io
from math import inf

from PIL import Image

from app.core.control.resizing import ResizeDecision
from app.core.errors import InvalidConfig, TooManyPixels, UnreachableTarget
from app.core.image import ImageFacts
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.imaging.read.decode import Picture
from app.imaging.write.raster import as_raster, load_raster
from app.imaging.write.render import OutputFormat, output_format, output_quality, render, write
from app.imaging.write.resample import Resample

_LONGEST_SIDE_PX: dict[OutputFormat, int] = {"jpeg": 65_535, "webp": 16_383, "png": 2**31 - 1}


def may_stay(facts: ImageFacts, form: OutputFormat | None, quality: int | None) -> bool:
    """Whether the bytes as they came could be the answer.

    Not where another format is asked for, or a quality of a lossy one, nor where the pixels are
    stored turned: what is handed out is upright.
    """
    same_quality = quality is None or output_quality(output_format(facts.format), quality) is None
    return facts.orientation == 1 and same_quality and form in (None, facts.format)


def check_result(decision: ResizeDecision, form: OutputFormat, *, max_pixels: int) -> None:
    """Refuse a result that is too large, before any of it is made.

    Raises:
        TooManyPixels: above the limit.
        InvalidConfig: the format cannot hold so long a side.
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
    *,
    form: OutputFormat,
    quality: int | None,
    resample: Resample,
    max_pixels: int,
    picture: Picture | None = None,
) -> bytes:
    """The file that was decided on, verified; the bytes as they came where they may stay.

    Decodes all of the file, if at a fraction of its size where that is enough, so that a damaged
    one is refused here at the latest.

    Args:
        data: the file that came.
        facts: what is known of it.
        decision: what is to become of it.
        config: what the result must get the decided tiling with.
        form: format of a file that is made.
        quality: of a lossy one, 1 to 100; None for the default.
        resample: filter of the resize.
        max_pixels: most of the file and of the result.
        picture: the file decoded, where it is already.

    Raises:
        UndecodableImage: the file is damaged.
        TooManyPixels, InvalidConfig: as :func:`check_result` says.
        UnreachableTarget: what was written gets another tiling than decided.
    """
    check_result(decision, form, max_pixels=max_pixels)
    unchanged = decision.mode == "unchanged"
    if picture is not None:
        raster = as_raster(picture)
    else:
        reduction = inf if unchanged else _reduction(decision, resample)
        raster = load_raster(data, facts, max_pixels=max_pixels, reduction=reduction)
    if unchanged:
        return data
    made = write(render(raster, decision, resample), form, quality, raster.icc_profile)
    _verify(made, decision, config, form)
    return made


def _verify(data: bytes, decision: ResizeDecision, config: CropConfig, form: OutputFormat) -> None:
    """Read the size back from what was written and plan it again. Raises UnreachableTarget."""
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


def _reduction(decision: ResizeDecision, resample: Resample) -> float:
    """Original px per px of the result, on the side that keeps more."""
    if resample in ("nearest", "box"):
        return 1  # they take pixels of the original as they are, and only in full are those there
    return 1 / max(decision.scale_x, decision.scale_y)
