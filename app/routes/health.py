"""``GET /healthz`` and ``GET /readyz``. They run on the event loop, so they answer under load."""

from fastapi import Response

from app import __version__
from app.core.latency.status import EncoderStatus
from app.http.answers import json_answer
from app.http.parameters import ServiceDependency
from app.http.routing import resource_router
from app.schemas.answer import mirrored
from app.schemas.latency import EncoderAnswer
from app.schemas.service import HealthAnswer, HealthStatus, ReadyAnswer, ReadyStatus

router = resource_router("service")


@router.get(
    "/healthz",
    summary="Alive?",
    response_model=HealthAnswer,
    responses={503: {"model": HealthAnswer}},
)
async def healthz(service: ServiceDependency) -> Response:
    """Answer 503 only for a stalled or dead encoder, because only a restart helps then."""
    status = service.encoder.status()
    broken = status.worker if status.worker in ("stalled", "dead") else None
    alive: HealthStatus = broken or "ok"
    reason = status.reason if broken else None
    answer = HealthAnswer(status=alive, reason=reason, version=__version__)
    return json_answer(answer, 503 if broken else 200)


@router.get(
    "/readyz",
    summary="Ready?",
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer}},
)
async def readyz(service: ServiceDependency) -> Response:
    """Answer 503 while the encoder loads, or after it failed, stalled or died.

    Planning answers before that. A running measurement of the profile does not delay readiness.
    """
    status = service.encoder.status()
    summary = _summary(status)
    ready = summary == "ready"
    answer = ReadyAnswer(
        ready=ready,
        status=summary,
        encoder=mirrored(EncoderAnswer, status),
        waiting=service.encoding.waiting,
    )
    return json_answer(answer, 200 if ready else 503)


def _summary(status: EncoderStatus) -> ReadyStatus:
    if status.worker == "stopped":
        return "draining"
    if status.worker in ("stalled", "dead"):
        return status.worker
    return status.state if status.state in ("loading", "failed") else "ready"
