"""Resize a file to exactly a number of crops or tokens."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.control.resizing import ResizeMode, Resizing, Target, Upscale, decide_resize
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.read.header import look
from app.imaging.write.make import check_result, make_file, may_stay
from app.imaging.write.render import Output, output_format, output_quality


@dataclass(frozen=True, slots=True)
class ResizeWish:
    """Name a target and the ways to it."""

    target: Target
    mode: ResizeMode
    upscale: Upscale
    output: Output


@dataclass(frozen=True, slots=True)
class ResizedFile:
    """Hold a decision, the plan of its result, and the file.

    Attributes:
        data: the file; None for a decision alone.
        form: Pillow's name of the file's format, in lower case.
        quality: of the file's encoder; None for a lossless or unchanged file.
    """

    resizing: Resizing
    plan: CropPlan
    data: bytes | None
    form: str
    quality: int | None


def resize_file(
    data: bytes, config: CropConfig, wish: ResizeWish, *, max_pixels: int, make: bool
) -> ResizedFile:
    """Decide from the header, then make and verify the file. A decision alone decodes no pixel.

    Args:
        data: the original file.
        max_pixels: the limit for the original and the result.
        make: make the file too.

    Raises:
        UnreachableTarget: no size or mode meets the target.
        UnsupportedImageType, TooManyPixels, UndecodableImage: the original cannot be used.
        InvalidConfig: the format cannot hold the result.
    """
    facts, output = look(data, max_pixels=max_pixels), wish.output
    resizing = decide_resize(
        facts.size,
        config,
        wish.target,
        mode=wish.mode,
        upscale=wish.upscale,
        may_stay=may_stay(facts, output),
    )
    decision = resizing.decision
    form = output.form or output_format(facts.format)
    check_result(decision, form, max_pixels=max_pixels)
    made = None
    if make:
        made = make_file(data, facts, decision, config, output, max_pixels=max_pixels)
    unchanged = decision.mode == "unchanged"
    return ResizedFile(
        resizing,
        make_plan(decision.size, config),
        made,
        form=facts.format if unchanged else form,
        quality=None if unchanged else output_quality(form, output.quality),
    )
