"""``POST /resize``: the image that gives exactly what is asked for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.geometry import Size
from app.core.plan import CropPlan, make_plan
from app.core.sizing import ResizeMode, Resizing, Target, Upscale, decide_resize
from app.imaging.decode import Picture
from app.imaging.render import (
    DEFAULT_QUALITY,
    MEDIA_TYPES,
    OutputFormat,
    Resample,
    output_format,
    output_quality,
)
from app.routes.parameters import GRID, PlanParameters, ServiceDependency, parse_grid
from app.routes.problems import responses
from app.routes.upload import OPENAPI_BODY, read_upload
from app.schemas.plan import PlanAnswer
from app.schemas.resize import DecisionAnswer, ResizeAnswer
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
                may_stay=_may_stay(picture, parameters),
            )
        )
        decision = resizing.decision
        service.check_output(decision, form)
        plan = make_plan(decision.size, config)
        if _wants_json(request):
            quality = None if decision.mode == "unchanged" else parameters.quality
            answer = await service.images.run(
                lambda: _answer(resizing, plan, service, form, quality)
            )
            return Response(answer.model_dump_json(), media_type="application/json")
        if decision.mode == "unchanged":
            form_out = picture.format
        else:
            form_out = form
            data = await service.make_image(
                picture,
                decision,
                config,
                form=form,
                quality=parameters.quality,
                resample=parameters.resample,
            )
    return Response(
        data, media_type=MEDIA_TYPES[form_out], headers=_headers(plan, decision.mode, decision.size)
    )


def _may_stay(picture: Picture, parameters: ResizeParameters) -> bool:
    """Whether the bytes as they came could be the answer.

    Not where another format or quality is asked for, nor where the pixels are stored turned: what
    we hand out is upright.
    """
    return (
        picture.orientation == 1
        and parameters.quality is None
        and parameters.format in (None, picture.format)
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
    decision = resizing.decision
    in_force = None if decision.mode == "unchanged" else output_quality(form, quality)
    return ResizeAnswer(
        decision=DecisionAnswer.of(decision, in_force),
        plan=PlanAnswer.of(plan, service.encoder.from_profile(plan)),
        alternatives=[DecisionAnswer.of(option) for option in resizing.alternatives],
    )


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
