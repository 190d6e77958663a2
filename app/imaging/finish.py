"""From a decision to the file, verified: nothing leaves that does not give what was decided."""

from __future__ import annotations

from app.core.config import CropConfig
from app.core.errors import InvalidConfig, TooManyPixels, UnreachableTarget
from app.core.plan import make_plan
from app.core.sizing import ResizeDecision
from app.imaging.decode import Picture, decode
from app.imaging.facts import ImageFacts
from app.imaging.render import OutputFormat, Resample, output_format, output_quality, render, write

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
    picture: Picture,
    decision: ResizeDecision,
    config: CropConfig,
    *,
    form: OutputFormat,
    quality: int | None,
    resample: Resample,
    max_pixels: int,
) -> bytes:
    """Render and write what was decided, then decode and plan it again.

    Raises:
        TooManyPixels, InvalidConfig: as :func:`check_result` says.
        UnreachableTarget: what was written gets another tiling than decided.
    """
    check_result(decision, form, max_pixels=max_pixels)
    data = write(render(picture, decision, resample), form, quality, picture.icc_profile)
    made = decode(data, max_pixels=max_pixels)
    grid = make_plan(made.size, config).grid
    if grid != decision.grid:
        raise UnreachableTarget(
            f"the result of {made.size} px gets {grid}, not {decision.grid}; please report this",
            limit=str(decision.grid),
            actual=str(grid),
            reachable=[],
        )
    return data
