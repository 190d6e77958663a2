"""Define the query parameters of several calls. An unknown or repeated parameter is refused."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from app import descriptions
from app.core.errors import MalformedRequest
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import FAMILIES, family_named
from app.core.plan.geometry import MAX_SIDE_PX, Size
from app.http.problems import refused_by_model
from app.imaging.write.render import Output, OutputFormat
from app.imaging.write.resample import Resample
from app.notation import MARGINS, parse_margins
from app.serving.service import Service

MOST_PARAMETERS = 50
"""No call has half as many."""

ModelName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(FAMILIES)})]
"""A family's name. The core refuses an unknown name, and the error lists the known names."""


class StrictParameters(BaseModel):
    """Refuse unknown parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParameters(StrictParameters):
    """Accept no parameter."""


class PlanParameters(StrictParameters):
    """Override the family's own configuration."""

    model: ModelName | None = Field(
        None, description="Family; by default the service's. See /models."
    )
    max_crops: int | None = Field(None, examples=[12], description=descriptions.MAX_CROPS)
    overlap_margins: str | None = Field(
        None, pattern=MARGINS, examples=["4,4"], description=descriptions.OVERLAP_MARGINS
    )
    crop_size_px: int | None = Field(None, examples=[336], description=descriptions.CROP_SIZE_PX)

    def config(self, service: Service) -> CropConfig:
        """Return the effective configuration.

        Raises:
            UnknownModel, InvalidConfig: see :func:`app.core.plan.config.make_config`.
        """
        margins = parse_margins(self.overlap_margins) if self.overlap_margins else None
        return make_config(
            family_named(service.default_model if self.model is None else self.model),
            max_crops=self.max_crops,
            overlap_margins=margins,
            crop_size_px=self.crop_size_px,
        )


class SizeParameters(PlanParameters):
    """Name the size of an image."""

    width: int = Field(examples=[640], description=f"Image width, 1 to {MAX_SIDE_PX} px.")
    height: int = Field(examples=[480], description=f"Image height, 1 to {MAX_SIDE_PX} px.")

    @property
    def size(self) -> Size:
        """Return the size. Raises InvalidSize."""
        return Size(self.width, self.height)


class OutputParameters(PlanParameters):
    """Choose the format, quality and filter of a made image."""

    format: OutputFormat | None = Field(None, description=descriptions.FORMAT)
    quality: int | None = Field(None, ge=1, le=100, description=descriptions.QUALITY)
    resample: Resample = Field("lanczos", description=descriptions.RESAMPLE)

    def output(self) -> Output:
        """Return the format, the quality and the filter as one value."""
        return Output(self.format, self.quality, self.resample)


def query(model: type[StrictParameters]) -> Any:
    """Make the dependency that reads a whole query as one model.

    FastAPI would look up every field by itself, at 11 µs each.
    """

    async def read(request: Request) -> StrictParameters:
        """Read the query.

        Raises:
            MalformedRequest: too many parameters, or a repeated one; the error names it.
            RequestValidationError: a parameter is missing, unknown or out of range.
        """
        given = request.query_params.multi_items()
        _check_once_each(given)
        try:
            return model.model_validate(dict(given))
        except ValidationError as error:
            raise refused_by_model(error, "query") from None

    read.parameters = _described(model)  # type: ignore[attr-defined]
    return Depends(read)


def _check_once_each(given: Sequence[tuple[str, str]]) -> None:
    """Refuse repeated parameters, as only the last of several values would count.

    An answer names all unknown parameters, so their number is limited first.
    """
    if len(given) > MOST_PARAMETERS:
        raise MalformedRequest(
            f"the query has {len(given)} parameters; the limit is {MOST_PARAMETERS}",
            limit=MOST_PARAMETERS,
            actual=len(given),
        )
    counted = Counter(name for name, _ in given)
    if len(given) > len(counted):
        name, times = counted.most_common(1)[0]
        raise MalformedRequest(
            f"parameter {name} is given {times} times", parameter=name, limit=1, actual=times
        )


def _described(model: type[StrictParameters]) -> list[dict[str, Any]]:
    """Describe the parameters of a query for OpenAPI."""
    schema = model.model_json_schema()
    described = []
    for name, field in schema.get("properties", {}).items():
        if field.get("default", ...) is None:
            del field["default"]
        required = name in schema.get("required", ())
        parameter = {"name": name, "in": "query", "required": required, "schema": field}
        if "description" in field:
            parameter["description"] = field["description"]
        described.append(parameter)
    return described


async def the_service(request: Request) -> Service:
    """Return the service of the application."""
    service: Service = request.app.state.service
    return service


# All dependencies are coroutines, because FastAPI runs a plain function in a thread, for a ms.
ServiceDependency = Annotated[Service, Depends(the_service)]
