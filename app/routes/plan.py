"""``GET /plan``: the cost of a size."""

from functools import partial
from typing import Annotated

from fastapi import Response

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.http.answers import json_answer
from app.http.parameters import ServiceDependency, SizeParameters, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.schemas.plan import PlanAnswer
from app.serving.admission import is_brief
from app.serving.service import Service

router = resource_router("planning")


@router.get(
    "/plan",
    summary="What a size costs",
    response_model=PlanAnswer,
    responses=responses(400, 422, 429),
)
async def plan(
    parameters: Annotated[SizeParameters, query(SizeParameters)], service: ServiceDependency
) -> Response:
    """Plan a size, without an upload: tiling, crops, tokens, overlap, control, latency."""
    size, config = parameters.size, parameters.config(service)
    planning = partial(_plan, size, config, service)
    return await service.planning.run(planning, brief=is_brief(config, size))


def _plan(size: Size, config: CropConfig, service: Service) -> Response:
    planned = make_plan(size, config)
    return json_answer(PlanAnswer.of(planned, service.encoder.from_profile(planned)))
