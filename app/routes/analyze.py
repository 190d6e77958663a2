"""``POST /analyze``: what an image costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.errors import InvalidConfig
from app.core.image import ImageFacts
from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig
from app.http.answers import Answers, AnswersDependency
from app.http.body import OPENAPI_BODY, read_upload
from app.http.disconnect import while_connected
from app.http.parameters import PlanParameters, ServiceDependency
from app.http.problems import responses
from app.schemas.latency import StagesMs
from app.schemas.plan import ImageAnswer, PlanAnswer
from app.schemas.plan_json import PlanJson, latency_json
from app.serving.latency.on_request import DEFAULT_REPEATS
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
    answers.keep_meaning(request.scope, asked)
    return await analyze_upload(request, asked, service, answers)


async def analyze_upload(
    request: Request, asked: Asked, service: Service, answers: Answers
) -> Response:
    """Read the image, plan it, and answer."""
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        facts, decode_ms = await _look(request, data, asked, service)
        plan = await answers.plan(facts.size, asked.config)
        latency = await _latency(request, data, plan, asked, decode_ms, service, answers)
    body = plan.answer(ImageAnswer.of(facts.size, facts), latency)
    return Response(body, media_type="application/json")


async def _look(
    request: Request, data: bytes, asked: Asked, service: Service
) -> tuple[ImageFacts, float | None]:
    """The upload's facts, and the ms that decoding took if that is what was asked for."""
    return await while_connected(request, service.look(data, in_full=asked.decode == "full"))


async def _latency(
    request: Request,
    data: bytes,
    planned: PlanJson,
    asked: Asked,
    decode_ms: float | None,
    service: Service,
    answers: Answers,
) -> bytes:
    """The latency that was asked for, as JSON."""
    plan, stages = planned.plan, StagesMs(decode=decode_ms)
    if asked.latency == "none":
        return latency_json(Latency("none", "not asked for"), plan, stages)
    if asked.latency == "profile":
        known = service.encoder.predictions()
        if decode_ms is None:
            return answers.latency(planned, known)
        return latency_json(known.latency(plan), plan, stages)
    measuring = service.encoder.measure(
        lambda: service.decode(data),
        plan,
        repeats=asked.repeats,
        timeout_s=service.limits.measure_timeout_s,
    )
    latency, spent = await while_connected(request, measuring)
    stages = StagesMs.before_passes(decode_ms, spent)
    return latency_json(latency, plan, stages)


def _repeats(parameters: AnalyzeParameters, limit: int) -> int:
    if parameters.repeats is None:
        return DEFAULT_REPEATS
    if parameters.latency != "measure":
        raise InvalidConfig(
            f"repeats needs latency=measure, but latency is {parameters.latency}",
            parameter="repeats",
            actual=parameters.repeats,
        )
    if parameters.repeats > limit:
        raise InvalidConfig(
            f"repeats must be at most {limit}, got {parameters.repeats}",
            parameter="repeats",
            limit=limit,
            actual=parameters.repeats,
        )
    return parameters.repeats
