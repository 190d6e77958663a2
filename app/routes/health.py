"""``GET /healthz`` and ``GET /readyz``. On the event loop alone, so that they answer under load."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app import __version__
from app.http.parameters import ServiceDependency
from app.schemas.latency import EncoderAnswer
from app.schemas.service import HealthAnswer, ReadyAnswer
from app.serving.latency.encoder_service import EncoderStatus

router = APIRouter(tags=["service"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Alive?", responses={503: {"model": HealthAnswer}})
async def healthz(response: Response, service: ServiceDependency) -> HealthAnswer:
    """Alive: 503 only where a restart is the cure, a stalled or dead encoder."""
    status = service.encoder.status()
    if status.worker in ("stalled", "dead"):
        response.status_code = 503
        return HealthAnswer(status=status.worker, reason=status.reason, version=__version__)
    return HealthAnswer(status="ok", version=__version__)


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Ready?", responses={503: {"model": ReadyAnswer}})
async def readyz(response: Response, service: ServiceDependency) -> ReadyAnswer:
    """Ready for every call: 503 while the encoder loads, or if it failed, stalled or died.

    Planning answers before that. A profile still being measured does not hold readiness up.
    """
    status = service.encoder.status()
    summary = _summary(status)
    if summary != "ready":
        response.status_code = 503
    return ReadyAnswer(
        ready=summary == "ready",
        status=summary,
        encoder=EncoderAnswer.of(status),
        waiting=service.encoding.waiting,
    )


def _summary(status: EncoderStatus) -> str:
    if status.worker == "stopped":
        return "draining"
    if status.worker in ("stalled", "dead"):
        return status.worker
    return status.state if status.state in ("loading", "failed") else "ready"
