"""``POST /resize``: the image that gives exactly what is asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.control.resizing import ResizeMode, Target, Upscale, decide_resize
from app.core.plan.config import CropConfig
from app.core.plan.plan import make_plan
from app.http.body import OPENAPI_BODY, read_upload
from app.http.disconnect import while_connected
from app.http.image_answer import OutputParameters, image_headers, image_or, wants_json
from app.http.parameters import ServiceDependency
from app.http.problems import responses
from app.imaging.read.header import look
from app.imaging.write.make import check_result, make_file, may_stay
from app.imaging.write.render import (
    MEDIA_TYPES,
    output_format,
    output_quality,
)
from app.notation import GRID, parse_grid
from app.schemas.resize import ResizeAnswer
from app.serving.service import Service

router = APIRouter(tags=["control"])


class ResizeParameters(OutputParameters):
    target_crops: int | None = Field(None, ge=1, description="Grid crops, exactly.")
    target_tokens: int | None = Field(
        None, ge=1, description="Most prompt tokens: the plan with most of them not above this."
    )
    tiling: str | None = Field(
        None, pattern=GRID, examples=["2x3"], description="This factorisation: rows x columns."
    )
    mode: ResizeMode = Field(
        "auto",
        description="`fit`: keep the aspect. `pad`: the whole image on the canvas, black around. "
        "`crop`: fill the canvas, cut the rest. `stretch`: fill it, aspect lost. `auto`: leave the "
        "image alone if it already meets the target, else fit if that can, else pad.",
    )
    upscale: Upscale = Field("allow", description="`never`: no pixel is enlarged.")

    def target(self) -> Target:
        """What is asked for."""
        grid = parse_grid(self.tiling) if self.tiling else None
        return Target(crops=self.target_crops, tokens=self.target_tokens, grid=grid)


@router.post(
    "/resize",
    summary="The image that costs just so much",
    response_model=ResizeAnswer,
    responses={**image_or("the decision"), **responses(400, 413, 415, 422, 429, 504)},
    openapi_extra=OPENAPI_BODY,
)
async def resize(
    request: Request,
    parameters: Annotated[ResizeParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Resize to exactly a number of crops or tokens, or refuse and say what can be reached."""
    config = parameters.config(service)
    as_json = wants_json(request)
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        # In one go: a decoded picture that waits for its next worker would fill the memory.
        resizing = service.images.run(lambda: _resize(data, parameters, config, service, as_json))
        return await while_connected(request, resizing)


def _resize(
    data: bytes,
    parameters: ResizeParameters,
    config: CropConfig,
    service: Service,
    as_json: bool,
) -> Response:
    """Decide from the header, then make and verify. No pixel is decoded for the decision alone."""
    max_pixels = service.limits.max_pixels
    facts = look(data, max_pixels=max_pixels)
    resizing = decide_resize(
        facts.size,
        config,
        parameters.target(),
        mode=parameters.mode,
        upscale=parameters.upscale,
        may_stay=may_stay(facts, parameters.format, parameters.quality),
    )
    decision = resizing.decision
    form = parameters.format or output_format(facts.format)
    check_result(decision, form, max_pixels=max_pixels)
    plan = make_plan(decision.size, config)
    unchanged = decision.mode == "unchanged"
    if as_json:
        quality = None if unchanged else output_quality(form, parameters.quality)
        answer = ResizeAnswer.of(resizing, plan, service.encoder.from_profile(plan), quality)
        return Response(answer.model_dump_json(), media_type="application/json")
    made = make_file(
        data,
        facts,
        decision,
        config,
        form=form,
        quality=parameters.quality,
        resample=parameters.resample,
        max_pixels=max_pixels,
    )
    media_type = MEDIA_TYPES[facts.format if unchanged else form]
    return Response(made, media_type=media_type, headers=image_headers(plan, decision.mode))
