"""``POST /overlay``, ``GET /overlay``: pictures of a plan."""

from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field

from app import descriptions
from app.core.plan.plan import CropPlan
from app.http.answers import plan_headers, preferred
from app.http.body import OPENAPI_BODY, read_upload, while_connected
from app.http.parameters import PlanParameters, ServiceDependency, SizeParameters, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.imaging.pictures import (
    DEFAULT_SIDE_PX,
    MAX_SIDE_PX,
    MEDIA_TYPES,
    MIN_SIDE_PX,
    Kind,
    PictureFormat,
    check_side,
)
from app.serving.service import Drawing

router = resource_router("planning")

PNG, SVG = MEDIA_TYPES["png"], MEDIA_TYPES["svg"]

PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture; the headers `X-Crops`, `X-Total-Crops`, `X-Tiling` and "
        "`X-Prompt-Tokens` tell the cost of the drawn plan.",
        "content": {
            PNG: {"schema": {"type": "string", "format": "binary"}},
            SVG: {"schema": {"type": "string"}},
        },
    }
}


class OverlayParameters(PlanParameters):
    kind: Kind = Field("crops", description=descriptions.PICTURE_KIND)
    format: PictureFormat | None = Field(
        None, description="By default what `Accept` prefers of the two, or else PNG."
    )
    side_px: int = Field(
        DEFAULT_SIDE_PX,
        description="Longer side of what is drawn, which text is added to, "
        f"{MIN_SIDE_PX} to {MAX_SIDE_PX}.",
    )

    def drawing(self, request: Request) -> Drawing:
        """Return the picture's options as one value. Raises InvalidConfig."""
        check_side(self.side_px)
        form: PictureFormat = "svg" if preferred(request, PNG, SVG) == SVG else "png"
        return Drawing(self.kind, self.format or form, self.side_px)


class SizeOverlayParameters(OverlayParameters, SizeParameters):
    pass


@router.post(
    "/overlay",
    summary="A picture of its crops",
    response_class=Response,
    responses={**PICTURE, **responses(400, 413, 415, 422, 429, 504)},
    openapi_extra=OPENAPI_BODY,
)
async def overlay(
    request: Request,
    parameters: Annotated[OverlayParameters, query(OverlayParameters)],
    service: ServiceDependency,
) -> Response:
    """Draw the plan of an image: the borders, contents and overlap of its crops."""
    config, drawing = parameters.config(service), parameters.drawing(request)
    async with service.images.admit_drawing():
        data = await read_upload(request, service.limits)
        # A client that has left leaves the queue: a page asks anew after every change.
        plan, drawn = await while_connected(request, service.draw(data, config, drawing))
    return _answer(plan, drawn, drawing)


@router.get(
    "/overlay",
    summary="A picture of a size's crops",
    response_class=Response,
    responses={**PICTURE, **responses(400, 422, 429)},
)
async def overlay_of_size(
    request: Request,
    parameters: Annotated[SizeOverlayParameters, query(SizeOverlayParameters)],
    service: ServiceDependency,
) -> Response:
    """Draw the plan of a size on a plain ground, without an upload."""
    config, size = parameters.config(service), parameters.size
    drawing = parameters.drawing(request)
    async with service.images.admit_drawing():
        plan, drawn = await while_connected(request, service.draw(size, config, drawing))
    return _answer(plan, drawn, drawing)


def _answer(plan: CropPlan, drawn: bytes, drawing: Drawing) -> Response:
    headers = {**plan_headers(plan), "Vary": "Accept"}
    return Response(drawn, media_type=MEDIA_TYPES[drawing.form], headers=headers)
