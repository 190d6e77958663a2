"""The composition root of the service: settings in, application out."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Depends, FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute

from app import __version__
from app.core.plan.families import family_named
from app.http import problems
from app.http.answers import Answers
from app.http.front import KeptAnswers, KnownQueries
from app.http.head import HeadAsGet
from app.http.parameters import refuse_repeats
from app.profiles import load_profile
from app.routes import (
    adapt,
    analyze,
    encode,
    health,
    latency,
    lut,
    measurement,
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

_KEPT_BYTES = 16 * 2**20
"""Buffers up to this size are kept, in a heap that may stay twice as large. glibc allows 32 MiB."""

DESCRIPTION = """
What an image costs a Molmo vision-language model: planned exactly,
measured on this device, and changed on purpose.

**Crops** count grid crops, as Molmo's own `max_crops` does; the encoder runs one global crop more,
given as `total_crops`. Errors are RFC 9457 problem details.
"""

TAGS = ("planning", "control", "encoding", "latency", "service")
"""The order of the documentation page, whatever that of the routes."""


def create_app(
    settings: Settings, load_encoder: Callable[[], ServedEncoder] | None = None
) -> FastAPI:
    """The application.

    Args:
        settings: everything configurable.
        load_encoder: makes the encoder, in place of the one the settings describe.

    Raises:
        UnknownModel: the settings name no family.
        InvalidProfile: they name a profile that cannot be used.
    """
    family_named(settings.model)  # a wrong name should fail here and not at the first request
    if settings.encoder and load_encoder is None:
        load_encoder = _torch_loader(settings)
    service = _service(settings, load_encoder if settings.encoder else None)

    answers = Answers(settings.answer_cache_bytes, Planning(settings.plan_queue))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.encoder.start()
        keeping = asyncio.create_task(lut.keep_ready(service, answers))
        yield
        keeping.cancel()
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
    app.state.service, app.state.answers = service, answers
    problems.install(app)
    app.add_middleware(HeadAsGet)
    app.router.routes[:0] = _front(service, answers)
    # Routes are tried in turn, and health is asked every few seconds. It and the page do not mind
    # repeated parameters: machines and browsers add some of their own.
    app.include_router(health.router)
    resources = (
        plan,
        analyze,
        overlay,
        methods,
        resize,
        adapt,
        encode,
        lut,
        latency,
        measurement,
        models,
    )
    for resource in resources:
        app.include_router(resource.router, dependencies=[Depends(refuse_repeats)])
    page.install(app)
    return app


def _front(service: Service, answers: Answers) -> list[BaseRoute]:
    """The routes that come before all others."""

    async def analyze_known(request: Request, asked: analyze.Asked) -> Response:
        return await analyze.analyze_upload(request, asked, service, answers)

    return [
        KeptAnswers(answers, service.encoder, frozenset({"/plan", "/plan/methods", "/lut"})),
        KnownQueries(answers, "/analyze", analyze_known),
    ]


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


def _torch_loader(settings: Settings) -> Callable[[], ServedEncoder]:
    def load() -> ServedEncoder:
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

    return load


def serve(settings: Settings) -> None:
    """Run the service until it is told to stop."""
    import uvicorn

    for stop, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        signal.signal(stop, partial(_exit, code))
    logging.getLogger("uvicorn.access").addFilter(_is_no_probe)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    _keep_freed_memory()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        log_config=None,
        timeout_graceful_shutdown=30,
    )


def _keep_freed_memory() -> None:
    """Have glibc keep the memory of uploads instead of asking the kernel for it anew each time.

    It does so from the first time on that a buffer this large is freed: mallopt(3) on the dynamic
    M_MMAP_THRESHOLD. Page faults are more than half of what reading 200 KB costs otherwise.
    """
    bytearray(_KEPT_BYTES)


def _exit(code: int, *_: object) -> None:
    """End the process here and now.

    uvicorn drains first and then raises the signal again, which is when this is called. A stop that
    was asked for is no failure, so SIGTERM exits with 0. Not by way of the interpreter's shutdown:
    the device worker may be inside torch, whose own threads abort the process then.
    """
    logging.shutdown()
    os._exit(code)


def _is_no_probe(record: logging.LogRecord) -> bool:
    """Health checks come every few seconds and would bury the rest of the access log."""
    # uvicorn's arguments: client, method, path, version, status. Its message would be made twice.
    path = record.args[2] if isinstance(record.args, tuple) and len(record.args) > 2 else ""
    return not str(path).startswith(("/healthz", "/readyz"))
