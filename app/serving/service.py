"""The service: what a request passes through between HTTP and the pure core."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from app.core.config import CropConfig, make_config
from app.core.errors import InvalidConfig, TooManyPixels, UnreachableTarget
from app.core.families import family_named
from app.core.geometry import Size
from app.core.plan import make_plan
from app.core.sizing import ResizeDecision
from app.imaging.decode import Picture, decode
from app.imaging.render import OutputFormat, Resample, render, write
from app.serving.encoder import EncoderService
from app.serving.images import ImageWorkers

_LONGEST_SIDE = {"jpeg": 65_535, "webp": 16_383, "png": 2**31 - 1}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may ask of the service; the values come from the settings."""

    max_upload_bytes: int
    max_pixels: int
    upload_timeout_s: float
    measure_timeout_s: float
    max_repeats: int


@dataclass(frozen=True, slots=True)
class Service:
    """Everything the routes need."""

    default_model: str
    limits: Limits
    images: ImageWorkers
    encoder: EncoderService

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
            family_named(model or self.default_model),
            max_crops=max_crops,
            overlap_margins=overlap_margins,
            crop_size_px=crop_size_px,
        )

    async def decode(self, data: bytes) -> tuple[Picture, float]:
        """The decoded upload, and the ms that decoding took, without waiting for a worker."""

        def work() -> tuple[Picture, float]:
            started = time.perf_counter()
            picture = decode(data, max_pixels=self.limits.max_pixels)
            return picture, (time.perf_counter() - started) * 1e3

        return await self.images.run(work)

    async def make_image(
        self,
        picture: Picture,
        decision: ResizeDecision,
        config: CropConfig,
        *,
        form: OutputFormat,
        quality: int | None,
        resample: Resample,
    ) -> bytes:
        """The file that was decided on, decoded and planned again before it is handed out.

        Raises:
            TooManyPixels: the result would be above the limit.
            InvalidConfig: the format cannot hold so long a side.
            UnreachableTarget: what was written gets another tiling than decided.
        """
        self.check_output(decision, form)
        return await self.images.run(
            partial(
                self._make_and_verify,
                picture,
                decision,
                config,
                form,
                quality,
                resample,
            )
        )

    def check_output(self, decision: ResizeDecision, form: OutputFormat) -> None:
        """Refuse a result that is too large, before any of it is made."""
        size = decision.size
        if size.pixels > self.limits.max_pixels:
            raise TooManyPixels(
                f"the result would be {size} px, {size.pixels} pixels in all; "
                f"the limit is {self.limits.max_pixels}",
                limit=self.limits.max_pixels,
                actual=size.pixels,
            )
        longest = max(size.width, size.height)
        if longest > _LONGEST_SIDE[form]:
            raise InvalidConfig(
                f"a {form} image has sides of at most {_LONGEST_SIDE[form]} px; "
                f"the result would be {size} px",
                parameter="format",
                limit=_LONGEST_SIDE[form],
                actual=longest,
            )

    def _make_and_verify(
        self,
        picture: Picture,
        decision: ResizeDecision,
        config: CropConfig,
        form: OutputFormat,
        quality: int | None,
        resample: Resample,
    ) -> bytes:
        data = write(render(picture, decision, resample), form, quality, picture.icc_profile)
        made = decode(data, max_pixels=self.limits.max_pixels)
        verify(made.size, decision, config)
        return data


def verify(size: Size, decision: ResizeDecision, config: CropConfig) -> None:
    """Plan a finished image again.

    Raises:
        UnreachableTarget: it does not get the tiling that was decided.
    """
    grid = make_plan(size, config).grid
    if grid != decision.grid:
        raise UnreachableTarget(
            f"the result of {size} px gets {grid}, not {decision.grid}; please report this",
            limit=str(decision.grid),
            actual=str(grid),
        )
