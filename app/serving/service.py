"""The service: what a request passes through between HTTP and the pure core."""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.core.image import ImageFacts
from app.core.latency.prefill import PrefillCost
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import family_named
from app.imaging.read.decode import Picture, decode
from app.imaging.read.header import glance, look
from app.serving.admission import ImageWorkers
from app.serving.encode.encoding import Encoding
from app.serving.latency.encoder_service import EncoderService
from app.serving.planning import Planning

_AT_ONCE_BYTES = 2**20
"""Up to here a glance takes less than handing it to a thread, but for files made to be slow."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may ask of the service; the values come from the settings."""

    max_upload_bytes: int
    max_pixels: int
    upload_timeout_s: float
    adapt_timeout_s: float
    measure_timeout_s: float
    max_repeats: int


@dataclass(frozen=True, slots=True)
class Service:
    """Everything the routes need. ``prefill`` is the language model's, where it was given."""

    default_model: str
    prefill: PrefillCost | None
    limits: Limits
    planning: Planning
    images: ImageWorkers
    encoder: EncoderService
    encoding: Encoding

    def config(
        self,
        model: str | None,
        *,
        max_crops: int | None,
        overlap_margins: tuple[int, int] | None,
        crop_size_px: int | None,
    ) -> CropConfig:
        """The effective configuration of a request.

        Raises:
            UnknownModel, InvalidConfig: as the core says.
        """
        return make_config(
            family_named(self.default_model if model is None else model),
            max_crops=max_crops,
            overlap_margins=overlap_margins,
            crop_size_px=crop_size_px,
        )

    def decode(self, data: bytes) -> Picture:
        """The upload's pixels, within the limits; for a worker's thread."""
        return decode(data, max_pixels=self.limits.max_pixels)

    async def look_at(self, data: bytes) -> tuple[ImageFacts, float]:
        """The facts of an upload, decoded in full, and the ms that took without waiting."""

        def work() -> tuple[ImageFacts, float]:
            started = time.perf_counter()
            facts = self.decode(data).facts
            return facts, (time.perf_counter() - started) * 1e3

        return await self.images.run(work)

    def glance(self, data: bytes) -> ImageFacts | None:
        """The facts of an upload that takes no time to tell them; else :meth:`look_at_header`."""
        if len(data) > _AT_ONCE_BYTES:
            return None
        return glance(data, max_pixels=self.limits.max_pixels)

    async def look_at_header(self, data: bytes) -> ImageFacts:
        """The facts of an upload, decoded only if its header cannot tell; see ``imaging.look``."""
        return await self.images.run(lambda: look(data, max_pixels=self.limits.max_pixels))
