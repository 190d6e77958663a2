"""Adapt an image to a budget: measure the quality of candidates, and make the chosen one."""

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
from app.imaging.write.render import MadeFile, Output, make_file, may_stay

PredictLatency = Callable[[CropPlan], Latency]


@dataclass(frozen=True, slots=True)
class AdaptedFile:
    """Hold an adaptation, with its chosen candidate, and the file."""

    adaptation: Adaptation
    file: MadeFile


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
    """Find the image within the budget that loses least, and make it.

    Args:
        data: the upload.
        config: the configuration that plans the upload.
        wish: the budget and the ways to it.
        latency: predicts the latency of a plan's vision tokens.
        output: format, quality and filter of a new image.
        max_pixels: the most pixels of the upload and of the result.
        measure_all: measure the quality of candidates beyond the budget, too.
        make: make the image; else only decide.
        all_known: refuse a latency budget if the latency of any candidate is unknown.
        before_each: runs before each measurement of quality; its errors end the adaptation.

    Raises:
        BudgetUnreachable: no candidate is within the budget.
        LatencyUnknown: the latency of no candidate is known, or not of all with ``all_known``.
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding does.
        InvalidConfig: the format cannot hold the result.
    """
    facts = look(data, max_pixels=max_pixels)

    @cache
    def picture() -> Picture:
        return decode(data, max_pixels=max_pixels)

    adaptation = _adapt(
        facts.size,
        config,
        wish,
        latency,
        lambda: QualityMeter(picture().pixels, resample=output.resample),
        measure_all=measure_all,
        all_known=all_known,
        before_each=before_each,
    )
    if not may_stay(facts, output):
        adaptation = _written_anew(adaptation)
    candidate = adaptation.chosen.candidate
    made = make_file(
        data,
        facts,
        candidate.decision,
        candidate.plan.config,
        output,
        max_pixels=max_pixels,
        make=make,
        picture=None if adaptation.compared_px is None else picture(),
    )
    return AdaptedFile(adaptation, made)


def _adapt(
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
    """Find the candidate within the budget that loses least.

    ``image`` is the size of the upright original. ``meter`` decodes the picture, and is called only
    if the pixels decide.
    """
    budget = wish.budget
    latency_of = _priced(latency, wish)
    whole = as_it_is(image, config, budget, latency_of, strategy=wish.strategy)
    stays = whole is not None and whole.mode == "unchanged"
    if whole is not None and stays and budget.holds(whole.plan, whole.latency_ms):
        stayed = Judged(whole, None, within_budget=True, pareto=True, chosen=True)
        return Adaptation((stayed,), None)
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
        choose(judged, budget)  # raises BudgetUnreachable, before a pixel is decoded
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
    """Predict the latency to compare with a budget: vision tokens at its percentile, and prefill.

    Prefill counts as a constant, so the sum is at the percentile, too.
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
    """Turn an unchanged image into a fit of its own size, if the file must be written anew."""

    def rewritten(one: Judged) -> Judged:
        candidate = one.candidate
        if candidate.decision.mode != "unchanged":
            return one
        decision = replace(candidate.decision, mode="fit")
        mode = "fit" if candidate.mode == "unchanged" else candidate.mode
        return replace(one, candidate=replace(candidate, mode=mode, decision=decision))

    return replace(adaptation, table=tuple(rewritten(one) for one in adaptation.table))
