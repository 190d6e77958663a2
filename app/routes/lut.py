"""``GET /lut``: from a number of crops to the size, the tokens and the latency they cost."""

from functools import lru_cache, partial
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from app.core.control.table import lookup_table
from app.core.errors import InvalidConfig
from app.core.latency.predictions import Predictions
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.http.answers import JSON, Tagged, preferred
from app.http.parameters import PlanParameters, ServiceDependency, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.notation import ASPECT, parse_aspect
from app.schemas.answer import to_json
from app.schemas.resize import CSV_MEDIA_TYPE, LutAnswer, lut_csv
from app.serving.admission import is_brief

router = resource_router("control")

CACHE_CONTROL = "no-cache"
"""A client may store the table, but asks for it again by its ``ETag``: latencies change while a
profile is measured."""

CACHED_TABLES = 32
"""Tables of 64 crops have 300 KB. Dashboards ask for the same few again and again."""


class LutParameters(PlanParameters):
    width: int | None = Field(None, description="With height: make the table about one image.")
    height: int | None = None
    aspect: str | None = Field(
        None, pattern=ASPECT, examples=["4:3", "1.5"], description="Width to height."
    )
    format: Literal["json", "csv"] | None = Field(
        None, description="By default what `Accept` prefers of `text/csv` and JSON, or else JSON."
    )

    def image(self) -> Size | None:
        """Return the size of the image that the table is about. Raises InvalidConfig."""
        if self.width is None and self.height is None:
            return None
        if self.width is None or self.height is None:
            raise InvalidConfig("give width and height together", parameter="width")
        if self.aspect is not None:
            raise InvalidConfig("give width and height, or aspect, not both", parameter="aspect")
        return Size(self.width, self.height)

    def aspect_size(self) -> Size | None:
        """Return the aspect in lowest terms, as a size. Raises InvalidConfig."""
        return parse_aspect(self.aspect) if self.aspect else None

    def as_csv(self, request: Request) -> bool:
        """Tell whether to answer with CSV: by ``format``, else by ``Accept``."""
        if self.format is not None:
            return self.format == "csv"
        return preferred(request, JSON, CSV_MEDIA_TYPE) == CSV_MEDIA_TYPE


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
    parameters: Annotated[LutParameters, query(LutParameters)],
    service: ServiceDependency,
) -> Response:
    """Give the table from a target to the image size, tokens and latency it costs."""
    config, as_csv = parameters.config(service), parameters.as_csv(request)
    image, aspect = parameters.image(), parameters.aspect_size()
    known = service.encoder.predictions()
    tabling = partial(table, config, image, aspect, known, as_csv)
    return await service.planning.run(tabling, brief=is_brief(config, image or aspect))


@lru_cache(maxsize=CACHED_TABLES)
def table(
    config: CropConfig, image: Size | None, aspect: Size | None, known: Predictions, as_csv: bool
) -> Response:
    """Make the table as an answer. It costs some ms, and depends on these arguments alone."""
    rows = lookup_table(config, image=image, aspect=aspect)
    answer = LutAnswer.of(config, rows, known.profile, known.latency, known.this_device)
    headers = {"Cache-Control": CACHE_CONTROL, "Vary": "Accept"}
    if not as_csv:
        return Tagged(to_json(answer), JSON, headers)
    about = f"_{image}" if image else f"_aspect_{aspect}" if aspect else ""
    name = f"lut_{config.family.name}{about}.csv"
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Tagged(lut_csv(answer).encode(), CSV_MEDIA_TYPE, headers)
