"""Query parameters that every planning call takes. Unknown ones are refused, so typos are heard."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import MalformedRequest
from app.core.plan.config import MAX_CROPS_LIMIT, CropConfig
from app.core.plan.geometry import MAX_SIDE_PX
from app.notation import MARGINS, parse_margins
from app.serving.service import Service


class NoParameters(BaseModel):
    """For calls that take none: any is unknown."""

    model_config = ConfigDict(extra="forbid")


class PlanParameters(NoParameters):
    """Overrides of the family's own configuration."""

    model: str | None = Field(None, description="Family; by default the service's. See /models.")
    max_crops: int | None = Field(
        None, description=f"Most grid crops, 1 to {MAX_CROPS_LIMIT}; by default the family's."
    )
    overlap_margins: str | None = Field(
        None,
        pattern=MARGINS,
        examples=["4,4"],
        description="Patches dropped at the left and top, and at the right and bottom, of a crop.",
    )
    crop_size_px: int | None = Field(None, description="Side of a crop, a multiple of the patch.")

    def config(self, service: Service) -> CropConfig:
        """The effective configuration."""
        margins = parse_margins(self.overlap_margins) if self.overlap_margins else None
        return service.config(
            self.model,
            max_crops=self.max_crops,
            overlap_margins=margins,
            crop_size_px=self.crop_size_px,
        )


class SizeParameters(PlanParameters):
    width: int = Field(description=f"Image width, 1 to {MAX_SIDE_PX} px.")
    height: int = Field(description=f"Image height, 1 to {MAX_SIDE_PX} px.")


def refuse_repeats(request: Request) -> None:
    """A parameter given twice would silently count once.

    Raises:
        MalformedRequest: naming it.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise MalformedRequest(
                f"parameter {name} is given {names.count(name)} times",
                parameter=name,
                limit=1,
                actual=names.count(name),
            )


def the_service(request: Request) -> Service:
    """The service this application was made with."""
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(the_service)]
