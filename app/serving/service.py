"""Serve the requests of all routes: one function for each, with core values in and out.

A handler reads the body, calls one function of :class:`Service`, and writes the answer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from app.core.adaptation import Wish
from app.core.errors import DeadlineExceeded, EncoderUnavailable, LatencyUnknown
from app.core.image import ImageFacts
from app.core.latency.latency import Latency
from app.core.latency.predictions import Predictions
from app.core.latency.prefill import PrefillCost
from app.core.latency.status import Preparation
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.adapt import AdaptedFile, adapt_file
from app.imaging.pictures import Kind, PictureFormat, draw, draw_upload
from app.imaging.read.decode import Picture, decode
from app.imaging.read.header import glance, look
from app.imaging.resize import ResizedFile, ResizeWish, resize_file
from app.imaging.write.render import Output
from app.serving.admission import ImageWorkers, Planning
from app.serving.encode.encoding import Encoding, StagedImage
from app.serving.latency.encoder_service import EncoderService

LatencyWanted = Literal["profile", "measure", "none"]

_AT_ONCE_BYTES = 2**20
"""Reading the header of a smaller file takes less time than handing it to a thread."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limit the requests of clients; the values come from the settings."""

    max_upload_bytes: int
    max_pixels: int
    upload_timeout_s: float
    adapt_timeout_s: float
    measure_timeout_s: float
    max_repeats: int


@dataclass(frozen=True, slots=True)
class AnalysisWish:
    """Name the parts of an analysis.

    Attributes:
        config: the configuration of the plan.
        latency: taken from the profile, measured now, or left out.
        repeats: timed passes of a measurement.
        decode: decode all pixels, and time the decoding.
    """

    config: CropConfig
    latency: LatencyWanted
    repeats: int
    decode: bool


@dataclass(frozen=True, slots=True)
class Analysis:
    """Hold the cost of an image.

    ``decode_ms`` is None without decoding, ``spent`` is None without measuring.
    """

    facts: ImageFacts
    plan: CropPlan
    latency: Latency
    decode_ms: float | None = None
    spent: Preparation | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """Describe a picture of a plan; ``side_px`` is the longer side of the drawing."""

    kind: Kind
    form: PictureFormat
    side_px: int


@dataclass(frozen=True, slots=True)
class Service:
    """Serve images and sizes.

    ``default_model`` is the family of a request that names none. ``prefill`` is the cost of the
    language model's prefill, None if not configured.
    """

    default_model: str
    prefill: PrefillCost | None
    limits: Limits
    planning: Planning
    images: ImageWorkers
    encoder: EncoderService
    encoding: Encoding

    def decode(self, data: bytes) -> Picture:
        """Decode an upload within the limits, in a worker's thread."""
        return decode(data, max_pixels=self.limits.max_pixels)

    def _decode_timed(self, data: bytes) -> tuple[ImageFacts, float]:
        started = time.perf_counter()
        facts = self.decode(data).facts
        return facts, (time.perf_counter() - started) * 1e3

    def analyze_at_once(self, data: bytes, wish: AnalysisWish) -> Analysis | None:
        """Plan a small upload from its header; return None if the analysis has to wait."""
        if wish.decode or wish.latency == "measure" or len(data) > _AT_ONCE_BYTES:
            return None
        facts = glance(data, max_pixels=self.limits.max_pixels)
        return None if facts is None else self._analysis(facts, wish, None)

    async def analyze(self, data: bytes, wish: AnalysisWish) -> Analysis:
        """Plan an upload, and find its latency; see :meth:`EncoderService.measure`."""
        decode_ms: float | None = None
        if wish.decode:
            facts, decode_ms = await self.images.run(partial(self._decode_timed, data))
        else:
            reading = partial(look, data, max_pixels=self.limits.max_pixels)
            facts = await self.images.run(reading)
        if wish.latency != "measure":
            return self._analysis(facts, wish, decode_ms)
        plan = make_plan(facts.size, wish.config)
        latency, spent = await self.encoder.measure(
            partial(self.decode, data),
            plan,
            repeats=wish.repeats,
            timeout_s=self.limits.measure_timeout_s,
        )
        return Analysis(facts, plan, latency, decode_ms, spent)

    def _analysis(self, facts: ImageFacts, wish: AnalysisWish, decode_ms: float | None) -> Analysis:
        plan = make_plan(facts.size, wish.config)
        asked = wish.latency == "profile"
        latency = self.encoder.from_profile(plan) if asked else Latency("none", "not asked for")
        return Analysis(facts, plan, latency, decode_ms)

    async def resize(
        self, data: bytes, config: CropConfig, wish: ResizeWish, *, make: bool
    ) -> ResizedFile:
        """Resize an upload to exactly its target; see :func:`app.imaging.resize.resize_file`."""
        # One call does all: a decoded picture waiting for another worker would fill the memory.
        resizing = partial(
            resize_file, data, config, wish, max_pixels=self.limits.max_pixels, make=make
        )
        return await self.images.run(resizing)

    async def adapt(
        self, data: bytes, config: CropConfig, wish: Wish, output: Output, *, make: bool
    ) -> tuple[AdaptedFile, Predictions]:
        """Adapt an upload to a budget; see :func:`app.imaging.adapt.adapt_file`.

        Returns:
            The adaptation, and the predictions behind it.

        Raises:
            DeadlineExceeded: the qualities were not measured in time.
            EncoderUnavailable: a latency is unknown, and the profile is still being measured.
        """
        known, still_measured = self.encoder.predictions(), self.encoder.profile_is_coming

        def adapting() -> AdaptedFile:
            return adapt_file(
                data,
                config,
                wish,
                known.latency,
                output,
                max_pixels=self.limits.max_pixels,
                measure_all=not make,
                make=make,
                all_known=still_measured,
                before_each=_deadline(self.limits.adapt_timeout_s),  # begins in the worker
            )

        try:
            return await self.images.run(adapting), known
        except LatencyUnknown as error:
            if not still_measured:
                raise
            detail = f"{error.detail}; the profile is still being measured"
            raise EncoderUnavailable(detail, state=self.encoder.status().state) from None

    async def draw(
        self, image: bytes | Size, config: CropConfig, drawing: Drawing
    ) -> tuple[CropPlan, bytes]:
        """Draw the plan of an upload, or of a size on a plain ground."""
        return await self.images.draw(partial(self._draw, image, config, drawing))

    def _draw(
        self, image: bytes | Size, config: CropConfig, drawing: Drawing
    ) -> tuple[CropPlan, bytes]:
        kind, form, side_px = drawing.kind, drawing.form, drawing.side_px
        if isinstance(image, Size):
            plan = make_plan(image, config)
            return plan, draw(kind, plan, None, form=form, side_px=side_px)
        max_pixels = self.limits.max_pixels
        return draw_upload(kind, image, config, max_pixels=max_pixels, form=form, side_px=side_px)

    async def stage(self, data: bytes, config: CropConfig) -> StagedImage:
        """Prepare an upload for a pass; see :meth:`Encoding.stage`.

        :meth:`Encoding.encode` is a second call: the upload's memory is free during the wait.
        """
        staging = partial(self.encoding.stage, partial(self.decode, data), config, time.monotonic())
        return await self.images.run(staging)


def _deadline(limit_s: float) -> Callable[[], None]:
    """Make a check that raises DeadlineExceeded after ``limit_s`` seconds."""
    ends_s = time.monotonic() + limit_s

    def check() -> None:
        if time.monotonic() > ends_s:
            raise DeadlineExceeded(
                f"the candidates' qualities were not measured in {limit_s:g} s", limit=limit_s
            )

    return check
