"""``GET /lut``: from a number of crops to the size, the tokens and the latency they cost."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.control.table import lookup_table
from app.core.errors import InvalidConfig
from app.core.latency.predictions import Predictions
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.http.answers import Answers, AnswersDependency, QueryKey, prefers_csv, query_key
from app.http.conditional import Tagged
from app.http.parameters import PlanParameters, ServiceDependency
from app.http.problems import responses
from app.notation import ASPECT, parse_aspect
from app.schemas.lut_csv import CSV_MEDIA_TYPE, lut_csv
from app.schemas.resize import LutAnswer
from app.serving.admission import is_brief
from app.serving.service import Service

log = logging.getLogger(__name__)
router = APIRouter(tags=["control"])

CACHE_CONTROL = "no-cache"
"""May be kept, but is asked for again, by its ``ETag``: latencies change while a profile is
measured, and a 304 costs next to nothing."""

LOOK_AGAIN_S = 1.0
"""Until a change of the predictions is noticed where nobody asks; who asks sees it at once."""


class LutParameters(PlanParameters):
    width: int | None = Field(None, description="With height: make the table about one image.")
    height: int | None = None
    aspect: str | None = Field(
        None, pattern=ASPECT, examples=["4:3", "1.5"], description="Width to height."
    )
    format: Literal["json", "csv"] | None = Field(
        None, description="By default what `Accept` asks for: `text/csv`, or else JSON."
    )

    def image(self) -> Size | None:
        """The image the table is about, if one was named."""
        if self.width is None and self.height is None:
            return None
        if self.width is None or self.height is None:
            raise InvalidConfig("give width and height together", parameter="width")
        if self.aspect is not None:
            raise InvalidConfig("give width and height, or aspect, not both", parameter="aspect")
        return Size(self.width, self.height)

    def aspect_size(self) -> Size | None:
        """The aspect in lowest terms, as a size."""
        return parse_aspect(self.aspect) if self.aspect else None

    def as_csv(self, accept: str) -> bool:
        """Whether to answer with CSV: ``format`` decides, else an ``Accept`` that names no JSON."""
        if self.format is not None:
            return self.format == "csv"
        return prefers_csv(accept)

    def file_name(self, model: str) -> str:
        """What a browser should call the CSV."""
        image, aspect = self.image(), self.aspect_size()
        about = f"_{image}" if image else f"_aspect_{aspect}" if aspect else ""
        return f"lut_{model}{about}.csv"


@router.get(
    "/lut",
    summary="From crops to sizes",
    response_model=LutAnswer,
    responses={
        200: {"content": {CSV_MEDIA_TYPE: {"schema": {"type": "string"}}}},
        **responses(400, 422, 429),
    },
)
async def lut(
    request: Request,
    parameters: Annotated[LutParameters, Query()],
    service: ServiceDependency,
    answers: AnswersDependency,
) -> Response:
    """The table from a target to the image size, tokens and latency it costs."""
    as_csv = parameters.as_csv(request.headers.get("accept", ""))
    return await _answer(parameters, query_key(request.scope), as_csv, service, answers)


async def keep_ready(service: Service, answers: Answers) -> None:
    """Have the answer to a ``/lut`` without parameters ready, now and whenever it changes."""
    revision = None
    while True:
        if (newest := service.encoder.revision) != revision:
            revision = newest
            try:
                await _answer(LutParameters(), ("/lut", b"", False), False, service, answers)
            except Exception:  # who asks for it is told; the next change may be a good one
                log.exception("the table could not be made ready")
        await asyncio.sleep(LOOK_AGAIN_S)


async def _answer(
    parameters: LutParameters, key: QueryKey, as_csv: bool, service: Service, answers: Answers
) -> Response:
    config = parameters.config(service)
    about = parameters.image() or parameters.aspect_size()
    known = service.encoder.predictions()
    answer = await answers.planning.run(
        lambda: _table(parameters, config, known, as_csv), brief=is_brief(config, about)
    )
    return answers.keep(known.revision, key, answer)


def _table(
    parameters: LutParameters, config: CropConfig, known: Predictions, as_csv: bool
) -> Response:
    table = lookup_table(config, image=parameters.image(), aspect=parameters.aspect_size())
    answer = LutAnswer.of(config, table, known.profile, known.latency, known.this_device)
    headers = {"Cache-Control": CACHE_CONTROL, "Vary": "Accept"}
    if not as_csv:
        return Tagged(answer.model_dump_json(), "application/json", headers)
    name = parameters.file_name(config.family.name)
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Tagged(lut_csv(answer), CSV_MEDIA_TYPE, headers)
