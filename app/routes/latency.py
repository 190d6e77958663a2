"""``GET /latency``: the profile in use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from app.http.parameters import NoParameters, ServiceDependency
from app.http.problems import responses
from app.schemas.latency import EncoderAnswer, LatencyProfileAnswer
from app.schemas.profile_use import ProfileInUseAnswer

router = APIRouter(tags=["latency"])


@router.get("/latency", summary="The measured profile", responses=responses(400, 422))
def latency(
    parameters: Annotated[NoParameters, Query()], service: ServiceDependency
) -> LatencyProfileAnswer:
    """Measured latency per number of crops, under what it was measured, and how far it is.

    With how far it can be trusted now: its age, its own error, and its drift.
    """
    in_use = service.encoder.predictions().in_use(datetime.now(UTC))
    return LatencyProfileAnswer(
        encoder=EncoderAnswer.of(service.encoder.status()),
        profile=ProfileInUseAnswer.of_use(in_use) if in_use else None,
    )
