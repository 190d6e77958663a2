"""The work of each request about an image: an upload goes in, values come out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

from app.core.adaptation import Wish
from app.core.errors import DeadlineExceeded, EncoderUnavailable, LatencyUnknown
from app.core.image import ImageFacts
from app.core.latency.latency import Latency
from app.core.latency.predictions import Predictions
from app.core.latency.status import Preparation
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.adapt import AdaptedFile, Output, adapt_file
from app.imaging.resize import DecidedFile, ResizeWish, decide_file, make_decided
from app.serving.encode.encoding import StagedImage
from app.serving.service import Service

LatencyWanted = Literal["profile", "measure", "none"]


@dataclass(frozen=True, slots=True)
class AnalysisWish:
    """Say the parts of an analysis.

    Attributes:
        config: the configuration of the plan.
        latency: from the profile, measured now, or none.
        repeats: timed passes of a measurement.
        decode: decode all pixels, and time that.
    """

    config: CropConfig
    latency: LatencyWanted
    repeats: int
    decode: bool


@dataclass(frozen=True, slots=True)
class Analysis:
    """Hold the cost of an image.

    ``decode_ms`` is None without decoding, ``spent`` without measuring.
    """

    facts: ImageFacts
    plan: CropPlan
    latency: Latency
    decode_ms: float | None = None
    spent: Preparation | None = None


async def analyze(service: Service, wish: AnalysisWish, data: bytes) -> Analysis:
    """Plan an image and find its latency.

    Raises:
        UnsupportedImageType, TooManyPixels, UndecodableImage: as decoding says.
        CollapsedImage: the image has no plan.
        EncoderUnavailable, EncoderMismatch, QueueFull, DeadlineExceeded: as measuring says.
    """
    decode_ms = None
    if wish.decode:
        facts, decode_ms = await service.look_at(data)
    else:
        facts = service.glance(data) or await service.look_at_header(data)
    plan = make_plan(facts.size, wish.config)
    if wish.latency == "none":
        return Analysis(facts, plan, Latency("none", "not asked for"), decode_ms)
    if wish.latency == "profile":
        return Analysis(facts, plan, service.encoder.from_profile(plan), decode_ms)
    latency, spent = await service.encoder.measure(
        partial(service.decode, data),
        plan,
        repeats=wish.repeats,
        timeout_s=service.limits.measure_timeout_s,
    )
    return Analysis(facts, plan, latency, decode_ms, spent)


async def resize(
    service: Service, config: CropConfig, wish: ResizeWish, output: Output, make: bool, data: bytes
) -> tuple[DecidedFile, bytes | None]:
    """Decide a resize, and make the file if ``make``.

    One call of a worker does both: a decoded picture in a queue would fill the memory.
    """
    max_pixels = service.limits.max_pixels

    def work() -> tuple[DecidedFile, bytes | None]:
        decided = decide_file(data, config, wish, output, max_pixels=max_pixels)
        return decided, make_decided(data, decided, max_pixels=max_pixels) if make else None

    return await service.images.run(work)


async def adapt(
    service: Service,
    config: CropConfig,
    wish: Wish,
    output: Output,
    known: Predictions,
    make: bool,
    data: bytes,
) -> AdaptedFile:
    """Find the image for a budget by predictions, and make the file if ``make``.

    Without the file all candidates are measured, those beyond the budget included.

    Raises:
        EncoderUnavailable: a latency is missing, and the profile is still being measured.
        DeadlineExceeded: measuring the qualities took too long.
        BudgetUnreachable, LatencyUnknown and others: as :func:`adapt_file` says.
    """
    profiling = service.encoder.is_profiling
    adapting = partial(
        adapt_file,
        data,
        config,
        wish,
        known.latency,
        output,
        max_pixels=service.limits.max_pixels,
        measure_all=not make,
        make=make,
        all_known=profiling,
    )
    try:
        return await service.images.run(partial(_within, service.limits.adapt_timeout_s, adapting))
    except LatencyUnknown as error:
        if not profiling:
            raise
        told = f"{error.detail}; the profile is still being measured"
        raise EncoderUnavailable(told, state=service.encoder.status().state) from None


def _within(limit_s: float, adapting: partial[AdaptedFile]) -> AdaptedFile:
    """Adapt within a time that starts with the work, not with its wait for a worker."""
    deadline = time.monotonic() + limit_s

    def before_each() -> None:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"the candidates' qualities were not measured in {limit_s:g} s", limit=limit_s
            )

    return adapting(before_each=before_each)


async def stage(service: Service, config: CropConfig, data: bytes) -> StagedImage:
    """Decode an image and prepare its crops for a pass."""
    arrived_s = time.monotonic()
    staging = partial(service.encoding.stage, partial(service.decode, data), config, arrived_s)
    return await service.images.run(staging)
