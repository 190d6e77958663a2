"""``POST /analyze``: what an image costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.config import CropConfig
from app.core.errors import InvalidConfig
from app.core.latency import Latency
from app.imaging.facts import ImageFacts
from app.routes.answers import Answers, AnswersDependency
from app.routes.disconnect import while_connected
from app.routes.parameters import PlanParameters, ServiceDependency
from app.routes.problems import responses
from app.routes.upload import OPENAPI_BODY, read_upload
from app.schemas.latency import StagesMs
from app.schemas.plan import ImageAnswer, PlanAnswer
from app.schemas.plan_json import PlanJson, latency_json
from app.serving.passes import DEFAULT_REPEATS
from app.serving.service import Service

router = APIRouter(tags=["planning"])

LatencyWanted = Literal["profile", "measure", "none"]
Decode = Literal["header", "full"]


class AnalyzeParameters(PlanParameters):
    latency: LatencyWanted = Field(
        "profile",
        description="`profile`: from the saved profile, at once. `measure`: run this image's own "
        "crops now. `none`: leave it out.",
    )
    repeats: int | None = Field(
        None,
        ge=1,
        description=f"Passes to measure; by default {DEFAULT_REPEATS}. Only with latency=measure.",
    )
    decode: Decode = Field(
        "header",
        description="`header`: plan from the header; a cut-off file is refused. `full`: decode all "
        "pixels first, which finds damage inside of them too. latency=measure always decodes.",
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What the parameters come to: all that a query decides."""

    config: CropConfig
    latency: LatencyWanted
    repeats: int
    decode: Decode

    @classmethod
    def of(cls, parameters: AnalyzeParameters, service: Service) -> Asked:
        decode: Decode = "full" if parameters.latency == "measure" else parameters.decode
        repeats = _repeats(parameters, service.limits.max_repeats)
        return cls(parameters.config(service), parameters.latency, repeats, decode)


@router.post(
    "/analyze",
    summary="What an image costs",
    response_model=PlanAnswer,
    responses=responses(400, 413, 415, 422, 429, 503, 504),
    openapi_extra=OPENAPI_BODY,
)
async def analyze(
    request: Request,
    parameters: Annotated[AnalyzeParameters, Query()],
    service: ServiceDependency,
    answers: AnswersDependency,
) -> Response:
    """Plan an image, and say what its vision tokens take on this device."""
    asked = Asked.of(parameters, service)
    answers.know(request, asked)
    return await analyze_upload(request, asked, service, answers)


async def analyze_upload(
    request: Request, asked: Asked, service: Service, answers: Answers
) -> Response:
    """Read the image, plan it, and answer."""
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        facts, decode_ms = await _look(request, data, asked, service)
        plan = await answers.plan(facts.size, asked.config)
        if asked.latency == "measure":
            latency = await _measured(request, data, plan, asked, service, decode_ms)
        elif asked.latency == "profile" and decode_ms is None:
            latency = answers.latency(plan, service.encoder.predictions())
        else:
            latency = 
