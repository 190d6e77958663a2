"""Compose the service: make an application from settings, and serve it."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app import __version__
from app.core.plan.families import family_named
from app.http import problems
from app.http.routing import HeadAsGet, add_resource
from app.profiles import load_profile
from app.routes import (
    adapt,
    analyze,
    encode,
    health,
    latency,
    lut,
    methods,
    models,
    overlay,
    page,
    plan,
    resize,
)
from app.serving.admission import ImageWorkers, Planning
from app.serving.device.protocol import ServedEncoder
from app.serving.device.worker import DeviceWorker
from app.serving.encode.encoding import Encoding
from app.serving.latency.encoder_service import EncoderService
from app.serving.service import Limits, Service
from app.settings import Settings

_REUSED_BYTES = 16 * 2**20
"""glibc reuses buffers up to this size, in a heap of up to twice the size; it allows 32 MiB."""

DESCRIPTION = """
What an image costs a Molmo vision-language model: planned exactly,
measured on this device, and changed on purpose.

**Crops** count grid crops, as Molmo's own `max_crops` does; the encoder runs one global crop more,
given as `total_crops`. Errors are RFC 9457 problem details.
"""

RESOURCES = (
    health,
    plan,
    analyze,
    overlay,
    methods,
    resize,
    adapt,
    encode,
    lut,
    latency,
    models,
)
"""Routes are tried in this order."""

TAGS = ("planning", "control", "encoding", "latency", "service")
"""The order on the documentation page."""


def create_app(
    settings: Settings, load_encoder: Callable[[], ServedEncoder] | None = None
) -> FastAPI:
    """Make the application.

    Args:
        settings: everything configurable.
        load_encoder: makes the encoder, in place of the encoder of the settings.

    Raises:
        UnknownModel: the settings name no family.
        InvalidProfile: the settings name an unusable profile.
    """
    family_named(settings.model)  # a wrong name should fail here and not at the first request
    if settings.encoder and load_encoder is None:
        load_encoder = partial(_load_encoder, settings)
    service = _service(settings, load_encoder if settings.encoder else None)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.encoder.start()
        yield
        service.encoder.stop()

    # FastAPI's documentation page loads its scripts from a CDN; this one carries them along.
    app = FastAPIOffline(
        title="Molmo crop planner",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_tags=[{"name": name} for name in TAGS],
        redoc_url=None,
    )
    app.state.service = service
    problems.install(app)
    app.add_middleware(HeadAsGet)
    for resource in RESOURCES:
        add_resource(app, resource.router)
    page.install(app)
    return app


def _service(settings: Settings, load: Callable[[], ServedEncoder] | None) -> Service:
    worker = DeviceWorker(queue_limit=settings.encoder_queue, stall_s=settings.encoder_stall_s)
    encoder = EncoderService(
        load,
        profile_on_start=settings.profile_on_start,
        worker=worker,
        given_profile=load_profile(settings.profile) if settings.profile else None,
    )
    return Service(
        default_model=settings.model,
        prefill=settings.prefill,
        limits=Limits(
            max_upload_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_pixels,
            upload_timeout_s=settings.upload_timeout_s,
            adapt_timeout_s=settings.adapt_timeout_s,
            measure_timeout_s=settings.measure_timeout_s,
            max_repeats=settings.max_repeats,
        ),
        planning=Planning(settings.plan_queue),
        images=ImageWorkers(workers=settings.workers, queue_limit=settings.image_queue),
        encoder=encoder,
        encoding=Encoding(
            encoder,
            worker,
            batch_crops=settings.encode_batch_crops,
            queue_crops=settings.encode_queue_crops,
            timeout_s=settings.encode_timeout_s,
        ),
    )


def _load_encoder(settings: Settings) -> ServedEncoder:
    # torch takes seconds to import, and planning must not wait for it.
    from app.serving.device.torch_encoder import ProfileOptions, load_torch_encoder

    return load_torch_encoder(
        family_named(settings.model),
        checkpoint=settings.checkpoint,
        device=settings.device,
        dtype=settings.dtype,
        runtime=settings.runtime,
        threads=settings.threads,
        seed=settings.seed,
        profile=ProfileOptions(
            folder=settings.profile_folder,
            crops=settings.profile_crops,
            repeats=settings.profile_repeats,
            budget_s=settings.profile_budget_s,
        ),
    )


def serve(settings: Settings) -> None:
    """Run the service until a signal stops it."""
    import uvicorn

    from app.http.protocol import BoundedProtocol

    for stop, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        signal.signal(stop, partial(_exit, code))
    logging.getLogger("uvicorn.access").addFilter(_is_no_probe)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    reuse_freed_memory()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        log_config=None,
        http=BoundedProtocol,
        timeout_graceful_shutdown=30,
    )


def reuse_freed_memory() -> None:
    """Make glibc reuse the memory of uploads. Otherwise the kernel gives new pages to each upload.

    glibc does so after the first free of a buffer this large: mallopt(3), M_MMAP_THRESHOLD. The
    page faults of new memory are more than half of the cost of reading 200 KB.
    """
    bytearray(_REUSED_BYTES)


def _exit(code: int, *_: object) -> None:
    """End the process at once.

    uvicorn drains first, then raises the signal again, and so calls this function. SIGTERM exits
    with 0: a requested stop is no failure. The interpreter's own shutdown is left out, because
    torch's threads would abort the process during a pass.
    """
    logging.shutdown()
    os._exit(code)


def _is_no_probe(record: logging.LogRecord) -> bool:
    """Keep health checks, every few seconds, out of the access log."""
    # uvicorn's arguments: client, method, path, version, status. Its message would be made twice.
    path = record.args[2] if isinstance(record.args, tuple) and len(record.args) > 2 else ""
    return not str(path).startswith(("/healthz", "/readyz"))
