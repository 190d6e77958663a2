"""``GET /plan`` and ``POST /analyze``: what an image costs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from app.core.errors import InvalidConfig
from app.core.geometry import Size
from app.core.latency import Latency
from app.core.plan import make_plan
from app.imaging.facts import ImageFacts
from app.routes.disconnect import while_connected
from app.routes.parameters import PlanParameters, ServiceDependency, SizeParameters
from app.routes.problems import responses
from app.routes.upload import OPENAPI_BODY, read_upload
from app.schemas.latency import StagesMs
from app.schemas.plan import PlanAnswer
from app.serving.passes import DEFAULT_REPEATS
from app.serving.service import Service

router = APIRouter(tags=["planning"])


class AnalyzeParameters(PlanParameters):
    latency: Literal["profile", "measure", "none"] = Field(
        "profile",
        description="`profile`: from the saved profile, at once. `measure`: run this image's own "
        "crops now. `none`: leave it out.",
    )
    repeats: int | None = Field(
        None,
        ge=1,
        description=f"Passes to measure; by default {DEFAULT_REPEATS}. Only with latency=measure.",
    )
    decode: Literal["header", "full"] = Field(
        "header",
        description="`header`: plan from the header; a cut-off file is refused. `full`: decode all "
        "pixels first, which finds damage inside of them too. latency=measure always decodes.",
    )


@router.get("/plan", summary="What a size costs", responses=responses(400, 422))
def plan(parameters: Annotated[SizeParameters, Query()], service: ServiceDependency) -> PlanAnswer:
    """Plan a size, without an upload: tiling, crops, tokens, overlap, control, latency."""
    planned = make_plan(Size(parameters.width, parameters.height), parameters.config(service))
    return PlanAnswer.of(planned, service.encoder.from_profile(planned))


@router.post(
    "/analyze",
    summary="What an image costs",
    responses=responses(400, 413, 415, 422, 429, 503, 504),
    openapi_extra=OPENAPI_BODY,
)
async def analyze(
    request: Request,
    parameters: Annotated[AnalyzeParameters, Query()],
    service: ServiceDependency,
) -> PlanAnswer:
    """Plan an image, and say what its vision tokens take on this device."""
    config = parameters.config(service)
    repeats = _repeats(parameters, service.limits.max_repeats)
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        facts, decode_ms = await while_connected(request, _look(data, parameters, service))
        planned = make_plan(facts.size, config)
        stages = StagesMs(decode=decode_ms)
        if parameters.latency == "measure":
            measuring = service.encoder.measure(
                lambda: service.decode(data),
                planned,
                repeats=repeats,
                timeout_s=service.limits.measure_timeout_s,
            )
            latency, spent = await while_connected(request, measuring)
            stages = StagesMs(
                decode=decode_ms, queue=spent.queue_ms, preprocess=spent.preprocess_ms
            )
        elif parameters.latency == "profile":
            latency = service.encoder.from_profile(planned)
        else:
            latency = Latency("none", "not asked for")
        return await service.images.run(
            lambda: PlanAnswer.of(planned, latency, facts=facts, stages_ms=stages)
        )


async def _look(
    data: bytes, parameters: AnalyzeParameters, service: Service
) -> tuple[ImageFacts, float | None]:
    """The upload's facts, and the ms that decoding took if that is what was asked for."""
    if parameters.decode == "full" or parameters.latency == "measure":
        return await service.look_at(data)
    return await service.look_at_header(data), None


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
