"""``GET /plan/methods``: the four ways to another cost, side by side."""

from functools import partial
from typing import Annotated

from fastapi import Response
from pydantic import Field

from app.core.control.methods import compare_methods
from app.core.plan.config import CropConfig
from app.core.plan.plan import make_plan
from app.http.answers import json_answer
from app.http.parameters import ServiceDependency, SizeParameters, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.schemas.methods import MethodsAnswer
from app.serving.service import Service

router = resource_router("control")


class MethodsParameters(SizeParameters):
    target_crops: int | None = Field(None, ge=1, description="Mark the best of at most so many.")
    target_tokens: int | None = Field(None, ge=1, description="The same by prompt tokens.")


@router.get(
    "/plan/methods",
    summary="Four ways to another cost",
    response_model=MethodsAnswer,
    responses=responses(400, 422, 429),
)
async def plan_methods(
    parameters: Annotated[MethodsParameters, query(MethodsParameters)], service: ServiceDependency
) -> Response:
    """Compare limiting crops, resizing, other overlap margins and another crop side for a size."""
    comparing = partial(_compare, parameters, parameters.config(service), service)
    return await service.planning.run(comparing, brief=False)  # some 50 plans


def _compare(parameters: MethodsParameters, config: CropConfig, service: Service) -> Response:
    comparison = compare_methods(
        make_plan(parameters.size, config),
        target_crops=parameters.target_crops,
        target_tokens=parameters.target_tokens,
    )
    return json_answer(MethodsAnswer.of(comparison, service.encoder.predictions().latency))
