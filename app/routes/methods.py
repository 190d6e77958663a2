"""``GET /plan/methods``: the four ways to change what an image costs, side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.core.geometry import Size
from app.core.methods import compare_methods
from app.core.plan import make_plan
from app.routes.parameters import ServiceDependency, SizeParameters
from app.routes.problems import responses
from app.schemas.methods import MethodsAnswer

router = APIRouter(tags=["control"])


class MethodsParameters(SizeParameters):
    target_crops: int | None = Field(None, ge=1, description="Mark the best of at most so many.")
    target_tokens: int | None = Field(None, ge=1, description="The same by prompt tokens.")


@router.get("/plan/methods", summary="Four ways to another cost", responses=responses(400, 422))
def methods(
    parameters: Annotated[MethodsParameters, Query()], service: ServiceDependency
) -> MethodsAnswer:
    """Compare limiting crops, resizing, other overlap margins and another crop side for a size."""
    current = make_plan(Size(parameters.width, parameters.height), parameters.config(service))
    comparison = compare_methods(
        current, target_crops=parameters.target_crops, target_tokens=parameters.target_tokens
    )
    return MethodsAnswer.of(comparison, service.encoder.from_profile)
