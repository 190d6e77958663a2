"""``POST /resize``: the image that gives exactly what is asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.geometry import Size
from app.core.notation import GRID, parse_grid
from app.core.plan import CropPlan, make_plan
from app.core.sizing import ResizeMode, Resizing, Target, Upscale, decide_resize
from app.imaging.finish import check_result, make_file, may_stay
from app.imaging.render import (
    DEFAULT_QUALITY,
    MEDIA_TYPES,
    OutputFormat,
    Resample,
    output_format,
    output_quality,
)
from app.routes.parameters import PlanParameters, ServiceDependency
from app.routes.problems import responses
from app.routes.upload import OPENAPI_BODY, read_upload
from app.schemas.resize import ResizeAnswer
from app.serving.service import Service

router = APIRouter(tags=["control"])


class ResizeParameters(PlanParameters):
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
    format: OutputFormat | None = Field(
        None, description="By default the image's own; PNG for GIF, BMP and TIFF."
    )
    quality: int | None = Field(
        None, ge=1, le=100, description=f"Of jpeg and webp; by default {DEFAULT_QUALITY}."
    )
    resample: Resample = Field("lanczos", description="Filter of the resize.")

    def target(self) -> Target:
        """What is asked for."""
        grid = parse_grid(self.tiling) if self.tiling else None
        return Target(crops=self.target_crops, tokens=self.target_tokens, grid=grid)


@router.post(
    "/resize",
    summary="The image that costs just so much",
    response_model=ResizeAnswer,
    responses={
        200: {
            "description": "The image; or the decision, with `Accept: application/json`.",
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        **responses(400, 413, 415, 422, 429, 504),
    },
    openapi_extra=OPENAPI_BODY,
)
async def resize(
    request: Request,
    parameters: Annotated[ResizeParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Resize to exactly a number of crops or tokens, or refuse and say what can be reached."""
    config = parameters.config(service)
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        picture, _ = await service.decode(data)
        form = parameters.format or output_format(picture.format)
        resizing = await service.images.run(
            lambda: decide_resize(
                picture.size,
                config,
                parameters.target(),
                mode=parameters.mode,
                upscale=parameters.upscale,
                may_stay=may_stay(picture, parameters.format, parameters.quality),
            )
        )
        decision = resizing.decision
        max_pixels = service.limits.max_pixels
        check_result(decision, form, max_pixels=max_pixels)
        plan = make_plan(decision.size, config)
        if _wants_json(request):
            answer = await service.images.run(
                lambda: _answer(resizing, plan, service, form, parameters.quality)
            )
            return Response(answer.model_dump_json(), media_type="application/json")
        if decision.mode == "unchanged":
            form_out = picture.format
        else:
            form_out = form
            data = await service.images.run(
                lambda: make_file(
                    picture,
                    decision,
                    config,
                    form=form,
                    quality=parameters.quality,
                    resample=parameters.resample,
                    max_pixels=max_pixels,
                )
            )
    return Response(
        data, media_type=MEDIA_TYPES[form_out], headers=_headers(plan, decision.mode, decision.size)
    )


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "").lower()
    return "application/json" in accept and "image/" not in accept


def _answer(
    resizing: Resizing,
    plan: CropPlan,
    service: Service,
    form: OutputFormat,
    quality: int | None,
) -> ResizeAnswer:
    in_force = None if resizing.decision.mode == "unchanged" else output_quality(form, quality)
    return ResizeAnswer.of(resizing, plan, service.encoder.from_profile(plan), in_force)


def _headers(plan: CropPlan, mode: str, size: Size) -> dict[str, str]:
    return {
        "X-Crops": str(plan.grid.crops),
        "X-Total-Crops": str(plan.total_crops),
        "X-Tiling": str(plan.grid),
        "X-Prompt-Tokens": str(plan.tokens.prompt),
        "X-Resize-Mode": mode,
        "X-Image-Width": str(size.width),
        "X-Image-Height": str(size.height),
    }
