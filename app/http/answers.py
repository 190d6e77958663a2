"""Cache answers, plans and predictions between requests (docs/reference/http.md)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from starlette.types import Scope

from app.core.latency.predictions import Predictions
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.schemas.lut_csv import CSV_MEDIA_TYPE
from app.schemas.plan_json import PlanJson, latency_json
from app.serving.kept import Kept, KeptByRevision
from app.serving.planning import Planning, is_brief

QueryKey = tuple[str, bytes, bool]
"""Path, query as it came, and whether CSV is preferred: all of a GET that answers depend on."""


def query_key(scope: Scope) -> QueryKey:
    """What an answer to this request is kept by."""
    return route_path(scope), scope["query_string"], prefers_csv(header(scope, b"accept"))


def route_path(scope: Scope) -> str:
    """The path as routes name it: without the ``root_path`` that a proxy or a mount puts before.

    Servers include it in the path, proxies may have cut it off already; as Starlette looks at it.
    """
    path: str = scope["path"]
    rest = path.removeprefix(scope.get("root_path", ""))
    return rest if rest.startswith("/") else path


def prefers_csv(accept: str) -> bool:
    """Whether an ``Accept`` names CSV and no JSON."""
    accept = accept.lower()
    return CSV_MEDIA_TYPE in accept and "application/json" not in accept


def header(scope: Scope, name: bytes) -> str:
    """The first of the request's headers of this name (lower case); "" where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


class Answers:
    """Answers by query, plans and their predictions by size, and the planning that makes them.

    From the event loop's thread alone.

    Args:
        limit_bytes: what all that is kept may take, and half of it answers.
        planning: where what is missing is computed.
    """

    def __init__(self, limit_bytes: int, planning: Planning) -> None:
        self.planning = planning
        self._by_query = KeptByRevision[QueryKey, Response](limit_bytes // 2)
        self._plans = Kept[tuple[Size, CropConfig], PlanJson](limit_bytes // 4)
        self._latencies = KeptByRevision[tuple[Size, CropConfig], bytes](limit_bytes // 8)
        self._meanings = Kept[tuple[str, bytes], Any](limit_bytes // 8)

    @property
    def kept_bytes(self) -> int:
        """What is kept takes so much, as counted."""
        kept = (self._by_query, self._plans, self._latencies, self._meanings)
        return sum(part.bytes for part in kept)

    def find(self, revision: int, key: QueryKey) -> Response | None:
        """The answer to this query, if it was given at this revision of the predictions."""
        return self._by_query.get(revision, key)

    def keep(self, revision: int, key: QueryKey, answer: Response) -> Response:
        """Keep an answer, made of the predictions of ``revision``. Only what succeeded."""
        headers = sum(len(name) + len(value) for name, value in answer.raw_headers)
        size = len(answer.body) + headers + len(key[1])
        self._by_query.keep(revision, key, answer, size)
        return answer

    def meaning(self, scope: Scope) -> Any:
        """What this path and query were found to mean; None: they were not asked before."""
        return self._meanings.get((route_path(scope), scope["query_string"]))

    def keep_meaning(self, scope: Scope, meaning: object) -> None:
        """Keep what path and query mean, now that FastAPI has checked them."""
        query = scope["query_string"]
        self._meanings.keep((route_path(scope), query), meaning, len(query))

    async def plan(self, size: Size, config: CropConfig) -> PlanJson:
        """The plan of a size.

        Raises:
            CollapsedImage: as :func:`make_plan` does.
            QueueFull: too much planning waits.
        """
        known = self._plans.get((size, config))
        if known is None:
            known = await self.planning.run(
                lambda: PlanJson.of(make_plan(size, config)), brief=is_brief(config, size)
            )
            self._plans.keep((size, config), known, known.size_bytes)
        return known

    def latency(self, plan: PlanJson, predictions: Predictions) -> bytes:
        """The latency that is predicted for a plan, as JSON."""
        key = (plan.plan.image, plan.plan.config)
        known = self._latencies.get(predictions.revision, key)
        if known is None:
            known = latency_json(predictions.latency(plan.plan), plan.plan)
            self._latencies.keep(predictions.revision, key, known, len(known))
        return known


def the_answers(request: Request) -> Answers:
    """What this application keeps."""
    answers: Answers = request.app.state.answers
    return answers


AnswersDependency = Annotated[Answers, Depends(the_answers)]
