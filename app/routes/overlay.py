"""``POST /overlay``, ``GET /overlay``: pictures of a plan."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.http.body import OPENAPI_BODY, read_upload
from app.http.disconnect import while_connected
from app.http.image_answer import plan_headers
from app.http.parameters import PlanParameters, ServiceDependency, SizeParameters
from app.http.problems import responses
from app.imaging.pictures import (
    DEFAULT_SIDE_PX,
    MAX_SIDE_PX,
    MEDIA_TYPES,
    MIN_SIDE_PX,
    Kind,
    PictureFormat,
    check_side,
    draw,
    draw_upload,
)

router = APIRouter(tags=["planning"])

PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture; what is drawn costs what the headers `X-Crops`, "
        "`X-Total-Crops`, `X-Tiling` and `X-Prompt-Tokens` say.",
        "content": {
            MEDIA_TYPES["png"]: {"schema": {"type": "string", "format": "binary"}},
            MEDIA_TYPES["svg"]: {"schema": {"type": "string"}},
        },
    }
}


class OverlayParameters(PlanParameters):
    kind: Kind = Field(
        "crops",
        description="`crops`: every crop's boundary on the image. `comparison`: beside it the "
        "crops themselves, with their tokens. `statistics`: overlap in figures. `coverage`: in how "
        "many crops each patch is, as a map.",
    )
    format: PictureFormat | None = Field(
        None, description="By default what `Accept` prefers of the two, or else PNG."
    )
    side_px: int = Field(
        DEFAULT_SIDE_PX,
        description="Longer side of what is drawn, which text is added to, "
        f"{MIN_SIDE_PX} to {MAX_SIDE_PX}.",
    )

    def form(self, accept: str) -> PictureFormat:
        """As what to draw."""
        if self.format is not None:
            return self.format
        svg, png = (_preference(accept, MEDIA_TYPES[form]) for form in ("svg", "png"))
        return "svg" if svg > png else "png"


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
    parameters: Annotated[OverlayParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Draw the plan of an image: its crops, what they look like, how they overlap."""
    config = parameters.config(service)
    check_side(parameters.side_px)
    form = parameters.form(request.headers.get("accept", ""))
    async with service.images.admit_drawing():
        data = await read_upload(request, service.limits)
        # In one go, as in /resize: a decoded picture must not wait for its next worker.
        drawing = service.images.draw(
            lambda: draw_upload(
                parameters.kind,
                data,
                config,
                max_pixels=service.limits.max_pixels,
                form=form,
                side_px=parameters.side_px,
            )
        )
        # Who has gone leaves the queue: a page asks anew whenever something is changed in it.
        return _answer(*await while_connected(request, drawing), form)


@router.get(
    "/overlay",
    summary="A picture of a size's crops",
    response_class=Response,
    responses={**PICTURE, **responses(400, 422, 429)},
)
async def overlay_of_size(
    request: Request,
    parameters: Annotated[SizeOverlayParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Draw the plan of a size, without an upload: on a plain ground."""
    config, size = parameters.config(service), Size(parameters.width, parameters.height)
    check_side(parameters.side_px)
    form = parameters.form(request.headers.get("accept", ""))
    async with service.images.admit_drawing():
        drawing = service.images.draw(
            lambda: _draw_size(size, config, parameters.kind, form, parameters.side_px)
        )
        return _answer(*await while_connected(request, drawing), form)


def _draw_size(
    size: Size, config: CropConfig, kind: Kind, form: PictureFormat, side_px: int
) -> tuple[CropPlan, bytes]:
    plan = make_plan(size, config)
    return plan, draw(kind, plan, None, form=form, side_px=side_px)


def _answer(plan: CropPlan, drawn: bytes, form: PictureFormat) -> Response:
    headers = {**plan_headers(plan), "Vary": "Accept"}
    return Response(drawn, media_type=MEDIA_TYPES[form], headers=headers)


def _preference(accept: str, media_type: str) -> float:
    """How much a client wants a type, 0 to 1, by the most specific range that has it (RFC 9110)."""
    ranges: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *options = (piece.strip() for piece in part.split(";"))
        weight = next((each[2:] for each in options if each.startswith("q=")), "1")
        try:
            ranges[name] = float(weight)
        except ValueError:
            ranges[name] = 0.0
    names = (media_type, "image/*", "*/*")
    return next((ranges[name] for name in names if name in ranges), 0.0)
