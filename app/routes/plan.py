"""``GET /plan``: what a size costs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.core.plan.geometry import Size
from app.http.answers import AnswersDependency, query_key
from app.http.parameters import ServiceDependency, SizeParameters
from app.http.problems import responses
from app.schemas.plan import ImageAnswer, PlanAnswer

router = APIRouter(tags=["planning"])


@router.get(
    "/plan",
    summary="What a size costs",
    response_model=PlanAnswer,
    responses=responses(400, 422, 429),
)
async def plan(
    request: Request,
    parameters: Annotated[SizeParameters, Query()],
    service: ServiceDependency,
    answers: AnswersDependency,
) -> Response:
    """Plan a size, without an upload: tiling, crops, tokens, overlap, control, latency."""
    size = Size(parameters.width, parameters.height)
    planned = await answers.plan(size, parameters.config(service))
    known = service.encoder.predictions()
    body = planned.answer(ImageAnswer.of(size), answers.latency(planned, known))
    answer = Response(body, media_type="application/json")
    return answers.keep(known.revision, query_key(request.scope), answer)
