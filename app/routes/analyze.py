"""``POST /analyze``: the cost of an image."""

from functools import partial
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from app.core.errors import InvalidConfig
from app.http.answers import json_answer
from app.http.body import OPENAPI_BODY, read_upload, while_connected
from app.http.parameters import PlanParameters, ServiceDependency, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.schemas.plan import PlanAnswer
from app.serving.admission import is_brief
from app.serving.latency.encoder_service import DEFAULT_REPEATS
from app.serving.service import Analysis, AnalysisWish, LatencyWanted, Service

router = resource_router("planning")


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
    decode: Literal["header", "full"] = Field(
        "header",
        description="`header`: plan from the header; a cut-off file is refused. `full`: decode all "
        "pixels first, which finds damage inside of them too. latency=measure always decodes.",
    )

    def wish(self, service: Service) -> AnalysisWish:
        """Return the wanted parts as one value. Raises InvalidConfig."""
        decode = self.decode == "full" or self.latency == "measure"
        repeats = self._repeats(service.limits.max_repeats)
        return AnalysisWish(self.config(service), self.latency, repeats, decode)

    def _repeats(self, limit: int) -> int:
        if self.repeats is None:
            return DEFAULT_REPEATS
        if self.latency != "measure":
            raise InvalidConfig(
                f"repeats needs latency=measure, but latency is {self.latency}",
                parameter="repeats",
                actual=self.repeats,
            )
        if self.repeats > limit:
            raise InvalidConfig(
                f"repeats must be at most {limit}, got {self.repeats}",
                parameter="repeats",
                limit=limit,
                actual=self.repeats,
            )
        return self.repeats


@router.post(
    "/analyze",
    summary="What an image costs",
    response_model=PlanAnswer,
    responses=responses(400, 413, 415, 422, 429, 503, 504),
    openapi_extra=OPENAPI_BODY,
)
async def analyze(
    request: Request,
    parameters: Annotated[AnalyzeParameters, query(AnalyzeParameters)],
    service: ServiceDependency,
) -> Response:
    """Plan an image, and tell the latency of its vision tokens on this device."""
    wish = parameters.wish(service)
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        analysis = service.analyze_at_once(data, wish)
        if analysis is None:
            analysis = await while_connected(request, service.analyze(data, wish))
    brief = is_brief(wish.config, analysis.facts.size)
    return await service.planning.run(partial(_answer, analysis), brief=brief)


def _answer(analysis: Analysis) -> Response:
    return json_answer(
        PlanAnswer.of(
            analysis.plan,
            analysis.latency,
            facts=analysis.facts,
            decode_ms=analysis.decode_ms,
            spent=analysis.spent,
        )
    )
