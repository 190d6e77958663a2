"""``GET /lut``: from a number of crops to the size, the tokens and the latency they cost."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.errors import InvalidConfig
from app.core.geometry import Size
from app.core.lut import lookup_table
from app.core.notation import ASPECT, parse_aspect
from app.routes.parameters import PlanParameters, ServiceDependency
from app.routes.problems import responses
from app.schemas.lut_csv import CSV_MEDIA_TYPE, lut_csv
from app.schemas.resize import LutAnswer
from app.serving.service import Service

router = APIRouter(tags=["control"])

CACHE_CONTROL = "public, max-age=60"
"""The sizes never change; the latencies do while a profile is measured, so not for long."""


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
        return CSV_MEDIA_TYPE in accept.lower() and "application/json" not in accept.lower()

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
        **responses(400, 422),
    },
)
def lut(
    request: Request,
    parameters: Annotated[LutParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """The table from a target to the image size, tokens and latency it costs."""
    as_csv = parameters.as_csv(request.headers.get("accept", ""))
    body = _body(parameters, service, as_csv)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL, "Vary": "Accept"}
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    if as_csv:
        name = parameters.file_name(parameters.model or service.default_model)
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    media_type = CSV_MEDIA_TYPE if as_csv else "application/json"
    return Response(body, media_type=media_type, headers=headers)


def _body(parameters: LutParameters, service: Service, as_csv: bool) -> bytes:
    config = parameters.config(service)
    table = lookup_table(config, image=parameters.image(), aspect=parameters.aspect_size())
    known = service.encoder.predictions()
    answer = LutAnswer.of(config, table, known.profile, known.latency, known.this_device)
    return (lut_csv(answer) if as_csv else answer.model_dump_json()).encode()


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as RFC 9110 asks of If-None-Match."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags
