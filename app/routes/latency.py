"""``GET /latency``: the profile in use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.routes.parameters import NoParameters, ServiceDependency
from app.routes.problems import responses
from app.schemas.latency import EncoderAnswer, LatencyProfileAnswer
from app.schemas.profile import ProfileAnswer

router = APIRouter(tags=["latency"])


@router.get("/latency", summary="The measured profile", responses=responses(400, 422))
def latency(
    parameters: Annotated[NoParameters, Query()], service: ServiceDependency
) -> LatencyProfileAnswer:
    """Measured latency per number of crops, under what it was measured, and how far it is."""
    profile = service.encoder.profile
    return LatencyProfileAnswer(
        encoder=EncoderAnswer.of(service.encoder.status()),
        profile=ProfileAnswer.of(profile) if profile else None,
    )
