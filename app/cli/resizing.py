"""Carry a resize decision out as the service does, checks included."""

from __future__ import annotations

import asyncio

from app.core.config import CropConfig
from app.core.sizing import ResizeDecision
from app.imaging.decode import Picture
from app.imaging.render import OutputFormat, Resample
from app.serving.encoder import EncoderService
from app.serving.images import ImageWorkers
from app.serving.service import Limits, Service
from app.serving.worker import DeviceWorker
from app.settings import Settings


def make_service(settings: Settings) -> Service:
    """The service without HTTP and without an encoder; nothing of it is started."""
    return Service(
        default_model=settings.model,
        limits=Limits(
            max_upload_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_pixels,
            upload_timeout_s=settings.upload_timeout_s,
            measure_timeout_s=settings.measure_timeout_s,
            max_repeats=settings.max_repeats,
        ),
        images=ImageWorkers(workers=1, queue_limit=0),
        encoder=EncoderService(
            None,
            profile_on_start=False,
            worker=DeviceWorker(queue_limit=0, stall_s=settings.encoder_stall_s),
        ),
    )


def make_image(
    service: Service,
    picture: Picture,
    decision: ResizeDecision,
    config: CropConfig,
    *,
    form: OutputFormat,
    quality: int | None,
    resample: Resample,
) -> bytes:
    """The file that was decided on, decoded and planned again before it is handed out."""

    async def make() -> bytes:
        return await service.make_image(
            picture, decision, config, form=form, quality=quality, resample=resample
        )

    return asyncio.run(make())
