"""Carry out a choice from a budget: measure the quality of candidates, make the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from app.core.adaptation import Adaptation, Wish
from app.core.control.budget import (
    Budget,
    Candidate,
    LatencyOf,
    as_it_is,
    candidates,
)
from app.core.control.choice import Judged, choose
from app.core.errors import LatencyUnknown
from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan
from app.imaging.quality import QualityMeter
from app.imaging.read.decode import Picture, decode
from app.imaging.read.header import look
from app.imaging.write.make import check_result, make_file, may_stay
from app.imaging.write.render import OutputFormat, output_format, output_quality
from app.imaging.write.resample import Resample

PredictLatency = Callable[[CropPlan], Latency]


@dataclass(frozen=True, slots=True)
class Output:
    """How an image that is made is written; None is the original's format, or the default."""

    form: OutputFormat | None = None
    quality: int | None = None
    resample: Resample = "lanczos"


@dataclass(frozen=True, slots=True)
class AdaptedFile:
    """An adaptation and the file it comes to.

    ``data`` is None where only the decision was asked for. ``form`` is Pillow's name in lower case.
    ``quality`` is that of the file's encoder; None: lossless, or the bytes as they came.
    """

    adaptation: Adaptation
    data: bytes | None
    form: str
    quality: int | None


def adapt_file(
    data: bytes,
    config: CropConfig,
    wish: Wish,
    latency: PredictLatency,
    output: Output,
    *,
    max_pixels: int,
    measure_all: bool,
    make: bool,
    all_known: bool = False,
    before_each: Callable[[], None] = lambda: None,
) -> AdaptedFile:
    """Find what keeps the budget and loses least, and make it.

    Args:
        data: the file that came.
        latency: of a plan's vision tokens, predicted.
        max_pixels: most of the file and of the result.
        measure_all: measure the quality of candidates beyond the budget, too.
        make: make the image, and not only the decision.
        all_known: with a limit on latency, refuse if that of any candidate is not known.
        before_each: called before each quality is measured; what it raises ends all.

    Raises:
        BudgetUnreachable: nothing keeps it.
        LatencyUnknown: it limits latency, and that of no candidate, or not of all, is known.
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding says.
        InvalidConfig: the format cannot hold the result.
    """
    facts = look(data, max_pixels=max_pixels)

    @cache
    def picture() -> Picture:
        return decode(data, max_pixels=max_pixels)

    adaptation = adapt(
        facts.size,
        config,
        wish,
        latency,
        lambda: QualityMeter(picture().pixels, resample=output.resample),
        measure_all=measure_all,
        all_known=all_known,
        before_each=before_each,
    )
    if not may_stay(facts, output.form, output.quality):
        adaptation = _written_anew(adaptation)
    candidate = adaptation.chosen.candidate
    form = output.form or output_format(facts.format)
    check_result(candidate.decision, form, max_pixels=max_pixels)
    made = None
    if make:
        made = make_file(
            data,
            facts,
            candidate.decision,
            candidate.plan.config,
            form=form,
            quality=output.quality,
            resample=output.resample,
            max_pixels=max_pixels,
            picture=None if adaptation.compared_px is None else picture(),
        )
    if candidate.decision.mode == "unchanged":
        return AdaptedFile(adaptation, made, facts.format, quality=None)
    return AdaptedFile(adaptation, made, form, output_quality(form, output.quality))


def adapt(
    image: Size,
    config: CropConfig,
    wish: Wish,
    latency: PredictLatency,
    meter: Callable[[], QualityMeter],
    *,
    measure_all: bool,
    all_known: bool,
    before_each: Callable[[], None],
) -> Adaptation:
    """Find what keeps the budget and loses least.

    Args:
        image: the upright original's size.
        latency: of a plan's vision tokens, predicted.
        meter: decodes the picture; not called where its pixels decide nothing.
        measure_all, all_known, before_each: as for :func:`adapt_file`.

    Raises:
        BudgetUnreachable, LatencyUnknown: as :func:`adapt_file` says.
    """
    budget = wish.budget
    latency_of = _priced(latency, wish)
    whole = as_it_is(image, config, budget, latency_of, strategy=wish.strategy)
    stays = whole is not None and whole.mode == "unchanged"
    if whole is not None and stays and budget.holds(whole.plan, whole.latency_ms):
        kept = Judged(whole, None, within_budget=True, pareto=True, chosen=True)
        return Adaptation((kept,), None)
    found = candidates(
        image,
        config,
        budget,
        latency_of,
        strategy=wish.strategy,
        modes=wish.modes,
        upscale=wish.upscale,
    )
    if budget.latency_ms is not None:
        _check_known(found, budget, latency, all_known)
    judged = [Judged(one, None, budget.holds(one.plan, one.latency_ms)) for one in found]
    if not any(one.within_budget for one in judged):
        choose(judged, budget)  # says so, before a pixel is decoded
    measured = meter()

    def measure(one: Judged) -> Judged:
        if not (one.within_budget or measure_all):
            return one
        before_each()
        return replace(one, quality=measured.at(*one.candidate.retained))

    judged = [measure(one) for one in judged]
    table = choose(judged, budget, quality_threshold=wish.quality_threshold)
    return Adaptation(table, measured.compared_px)


def _priced(latency: PredictLatency, wish: Wish) -> LatencyOf:
    """What a budget is held against: vision tokens at its percentile, and prefill if it is known.

    Prefill is taken as a constant, so that the sum is at that percentile, too.
    """

    def latency_of(plan: CropPlan) -> float | None:
        vision_ms = latency(plan).at(wish.budget.percentile)
        if vision_ms is None or wish.prefill is None:
            return vision_ms
        return vision_ms + wish.prefill.ms(plan.tokens.prompt)

    return latency_of


def _check_known(
    found: Sequence[Candidate], budget: Budget, latency: PredictLatency, all_known: bool
) -> None:
    unknown = [one for one in found if one.latency_ms is None]
    if unknown and (all_known or len(unknown) == len(found)):
        why = latency(unknown[0].plan).why_not(budget.percentile)
        raise LatencyUnknown(
            f"no latency of {unknown[0].plan.grid} to hold {budget} against: {why}",
            parameter="latency_budget_ms",
        )


def _written_anew(adaptation: Adaptation) -> Adaptation:
    """An image that is left alone but must be written anew is a fit of its own size."""

    def rewritten(one: Judged) -> Judged:
        candidate = one.candidate
        if candidate.decision.mode != "unchanged":
            return one
        decision = replace(candidate.decision, mode="fit")
        mode = "fit" if candidate.mode == "unchanged" else candidate.mode
        return replace(one, candidate=replace(candidate, mode=mode, decision=decision))

    return replace(adaptation, table=tuple(rewritten(one) for one in adaptation.table))
