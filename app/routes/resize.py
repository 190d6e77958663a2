"""``POST /resize``: an image at a target of crops or tokens."""

from functools import partial
from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from app import descriptions
from app.core.control.resizing import ResizeMode, Target, Upscale
from app.http.answers import image_headers, image_or, json_answer, wants_json
from app.http.body import OPENAPI_BODY, read_upload, while_connected
from app.http.parameters import OutputParameters, ServiceDependency, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.imaging.read.opening import MEDIA_TYPES
from app.imaging.resize import ResizedFile, ResizeWish
from app.notation import GRID, parse_grid
from app.schemas.resize import ResizeAnswer
from app.serving.admission import is_brief
from app.serving.service import Service

router = resource_router("control")


class ResizeParameters(OutputParameters):
    target_crops: int | None = Field(
        None, ge=1, examples=[4], description=descriptions.TARGET_CROPS
    )
    target_tokens: int | None = Field(None, ge=1, description=descriptions.TARGET_TOKENS)
    tiling: str | None = Field(
        None, pattern=GRID, examples=["2x3"], description=descriptions.TILING
    )
    mode: ResizeMode = Field("auto", description=descriptions.RESIZE_MODE)
    upscale: Upscale = Field("allow", description=descriptions.RESIZE_UPSCALE)

    def wish(self) -> ResizeWish:
        """Return the target, the ways to it and the form of the result as one value."""
        grid = parse_grid(self.tiling) if self.tiling else None
        target = Target(crops=self.target_crops, tokens=self.target_tokens, grid=grid)
        return ResizeWish(target, self.mode, self.upscale, self.output())


@router.post(
    "/resize",
    summary="The image that costs just so much",
    response_model=ResizeAnswer,
    responses={**image_or("the decision"), **responses(400, 413, 415, 422, 429, 504)},
    openapi_extra=OPENAPI_BODY,
)
async def resize(
    request: Request,
    parameters: Annotated[ResizeParameters, query(ResizeParameters)],
    service: ServiceDependency,
) -> Response:
    """Resize to exactly a number of crops or tokens, or refuse and list the reachable ones."""
    config, make = parameters.config(service), not wants_json(request)
    wish = parameters.wish()
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        resizing = service.resize(data, config, wish, make=make)
        resized = await while_connected(request, resizing)
    if resized.file.data is None:
        telling = partial(_decision, resized, service)
        return await service.planning.run(telling, brief=is_brief(config, resized.plan.image))
    headers = image_headers(resized.plan, resized.resizing.decision.mode)
    return Response(resized.file.data, media_type=MEDIA_TYPES[resized.file.form], headers=headers)


def _decision(resized: ResizedFile, service: Service) -> Response:
    latency = service.encoder.from_profile(resized.plan)
    return json_answer(
        ResizeAnswer.of(resized.resizing, resized.plan, latency, resized.file.quality)
    )
