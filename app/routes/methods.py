"""``GET /plan/methods``: the four ways to change what an image costs, side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.control.methods import compare_methods
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.http.answers import AnswersDependency, query_key
from app.http.parameters import ServiceDependency, SizeParameters
from app.http.problems import responses
from app.schemas.methods import MethodsAnswer

router = APIRouter(tags=["control"])


class MethodsParameters(SizeParameters):
    target_crops: int | None = Field(None, ge=1, description="Mark the best of at most so many.")
    target_tokens: int | None = Field(None, ge=1, description="The same by prompt tokens.")


@router.get(
    "/plan/methods",
    summary="Four ways to another cost",
    response_model=MethodsAnswer,
    responses=responses(400, 422, 429),
)
async def methods(
    request: Request,
    parameters: Annotated[MethodsParameters, Query()],
    service: ServiceDependency,
    answers: AnswersDependency,
) -> Response:
    """Compare limiting crops, resizing, other overlap margins and another crop side for a size."""
    size, config = Size(parameters.width, parameters.height), parameters.config(service)
    known = service.encoder.predictions()

    def compare() -> Response:
        comparison = compare_methods(
            make_plan(size, config),
            target_crops=parameters.target_crops,
            target_tokens=parameters.target_tokens,
        )
        body = MethodsAnswer.of(comparison, known.latency).model_dump_json()
        return Response(body, media_type="application/json")

    # Some 50 plans: too long for the event loop.
    answer = await answers.planning.run(compare, brief=False)
    return answers.keep(known.revision, query_key(request.scope), answer)
