"""Resize an image file for a target: the decision from its header, and then the file."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.control.resizing import ResizeMode, Resizing, Target, Upscale, decide_resize
from app.core.image import ImageFacts
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.adapt import Output
from app.imaging.read.header import look
from app.imaging.write.make import check_result, make_file, may_stay
from app.imaging.write.render import OutputFormat, output_format, output_quality


@dataclass(frozen=True, slots=True)
class ResizeWish:
    """Say a target and the ways to it."""

    target: Target
    mode: ResizeMode = "auto"
    upscale: Upscale = "allow"


@dataclass(frozen=True, slots=True)
class DecidedFile:
    """Hold the decision for one file.

    Attributes:
        facts: the facts of the original.
        resizing: the decision and its alternatives.
        plan: the plan of the result.
        output: the wish for the form of the result.
        form: the format of a made result.
    """

    facts: ImageFacts
    resizing: Resizing
    plan: CropPlan
    output: Output
    form: OutputFormat

    @property
    def unchanged(self) -> bool:
        """Tell whether the original is the result, byte for byte."""
        return self.resizing.decision.mode == "unchanged"

    @property
    def result_format(self) -> str:
        """Return the format of the result, by Pillow's name in lower case."""
        return self.facts.format if self.unchanged else self.form

    @property
    def quality(self) -> int | None:
        """Return the quality of a lossy result; None for a lossless or an unchanged result."""
        return None if self.unchanged else output_quality(self.form, self.output.quality)


def decide_file(
    data: bytes, config: CropConfig, wish: ResizeWish, output: Output, *, max_pixels: int
) -> DecidedFile:
    """Decide from the header of an image file. No pixel is decoded.

    Raises:
        UnreachableTarget: nothing meets the target.
        UnsupportedImageType, TooManyPixels, UndecodableImage: as :func:`look` says.
        InvalidConfig: the target is no target, or the format cannot hold the result.
    """
    facts = look(data, max_pixels=max_pixels)
    resizing = decide_resize(
        facts.size,
        config,
        wish.target,
        mode=wish.mode,
        upscale=wish.upscale,
        may_stay=may_stay(facts, output.form, output.quality),
    )
    form = output.form or output_format(facts.format)
    check_result(resizing.decision, form, max_pixels=max_pixels)
    return DecidedFile(facts, resizing, make_plan(resizing.decision.size, config), output, form)


def make_decided(data: bytes, decided: DecidedFile, *, max_pixels: int) -> bytes:
    """Make the file of a decision and verify it. Raises like :func:`make_file`."""
    return make_file(
        data,
        decided.facts,
        decided.resizing.decision,
        decided.plan.config,
        form=decided.form,
        quality=decided.output.quality,
        resample=decided.output.resample,
        max_pixels=max_pixels,
    )
