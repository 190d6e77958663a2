"""``GET /latency``: the profile in use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Response

from app.http.answers import json_answer
from app.http.parameters import NoParameters, ServiceDependency
from app.http.problems import responses
from app.http.routing import resource_router
from app.schemas.answer import mirrored
from app.schemas.latency import EncoderAnswer, LatencyProfileAnswer
from app.schemas.profile import ProfileInUseAnswer

router = resource_router("latency")


@router.get(
    "/latency",
    summary="The measured profile",
    response_model=LatencyProfileAnswer,
    responses=responses(400, 422),
)
def latency(parameters: Annotated[NoParameters, Query()], service: ServiceDependency) -> Response:
    """Give the measured latency per number of crops, its conditions and the profile's progress.

    The age of the profile, its own error and its drift tell its trust now.
    """
    in_use = service.encoder.predictions().in_use(datetime.now(UTC))
    return json_answer(
        LatencyProfileAnswer(
            encoder=mirrored(EncoderAnswer, service.encoder.status()),
            profile=ProfileInUseAnswer.of_use(in_use) if in_use else None,
        )
    )
