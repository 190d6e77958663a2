"""Resize a file to exactly a number of crops or tokens."""

from dataclasses import dataclass

from app.core.control.resizing import ResizeMode, Resizing, Target, Upscale, decide_resize
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.read.header import look
from app.imaging.write.render import MadeFile, Output, make_file, may_stay


@dataclass(frozen=True, slots=True)
class ResizeWish:
    """Name a target and the ways to it."""

    target: Target
    mode: ResizeMode
    upscale: Upscale
    output: Output


@dataclass(frozen=True, slots=True)
class ResizedFile:
    """Hold a decision, the plan of its result, and the file."""

    resizing: Resizing
    plan: CropPlan
    file: MadeFile


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
    made = make_file(data, facts, decision, config, output, max_pixels=max_pixels, make=make)
    return ResizedFile(resizing, make_plan(decision.size, config), made)
