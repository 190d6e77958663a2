"""``POST /adapt``: the image that keeps a latency or token budget and loses least."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from app import descriptions
from app.core.adaptation import Wish
from app.core.control.budget import Budget, Strategy
from app.core.control.resizing import Upscale
from app.core.latency.latency import Latency
from app.core.latency.predictions import Predictions
from app.core.latency.prefill import PrefillCost, asked_prefill
from app.http.answers import image_headers, image_or, json_answer, wants_json
from app.http.body import OPENAPI_BODY, read_upload, while_connected
from app.http.parameters import OutputParameters, ServiceDependency, query
from app.http.problems import responses
from app.http.routing import resource_router
from app.imaging.adapt import AdaptedFile
from app.imaging.read.opening import MEDIA_TYPES
from app.notation import parse_modes
from app.schemas.adapt import AdaptAnswer
from app.serving.admission import is_brief

router = resource_router("control")


class AdaptParameters(OutputParameters):
    latency_budget_ms: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        examples=[500],
        description=descriptions.LATENCY_BUDGET_MS,
    )
    max_tokens: int | None = Field(None, ge=1, examples=[600], description=descriptions.MAX_TOKENS)
    percentile: float = Field(95, gt=0, lt=100, description=descriptions.PERCENTILE)
    quality_threshold: float | None = Field(
        None, ge=0, le=1, description=descriptions.QUALITY_THRESHOLD
    )
    modes: str = Field("fit,pad", examples=["fit", "fit,pad,crop"], description=descriptions.MODES)
    strategy: Strategy = Field("best", description=descriptions.STRATEGY)
    upscale: Upscale = Field("never", description=descriptions.ADAPT_UPSCALE)
    prefill_ms_per_token: float | None = Field(None, description=descriptions.PREFILL_MS_PER_TOKEN)
    prefill_base_ms: float | None = Field(None, description=descriptions.PREFILL_BASE_MS)

    def wish(self, prefill: PrefillCost | None) -> Wish:
        """Return the budget and the ways to it as one value; ``prefill`` is the service's."""
        return Wish(
            budget=Budget(self.latency_budget_ms, self.max_tokens, self.percentile),
            strategy=self.strategy,
            modes=parse_modes(self.modes),
            upscale=self.upscale,
            quality_threshold=self.quality_threshold,
            prefill=asked_prefill(self.prefill_ms_per_token, self.prefill_base_ms, prefill),
        )


@router.post(
    "/adapt",
    summary="The image that keeps a budget and loses least",
    response_model=AdaptAnswer,
    responses={**image_or("what was weighed"), **responses(400, 413, 415, 422, 429, 503, 504)},
    openapi_extra=OPENAPI_BODY,
)
async def adapt(
    request: Request,
    parameters: Annotated[AdaptParameters, query(AdaptParameters)],
    service: ServiceDependency,
) -> Response:
    """Leave an image within the budget alone; else keep as much of the picture as possible."""
    config, make = parameters.config(service), not wants_json(request)
    wish, output = parameters.wish(service.prefill), parameters.output()
    async with service.images.admit():
        data = await read_upload(request, service.limits)
        adapting = service.adapt(data, config, wish, output, make=make)
        adapted, known = await while_connected(request, adapting)
    if adapted.file.data is not None:
        return _image(adapted, adapted.file.data, wish, known)
    telling = partial(_decision, adapted, wish, known)
    return await service.planning.run(telling, brief=is_brief(config))


def _decision(adapted: AdaptedFile, wish: Wish, known: Predictions) -> Response:
    now = datetime.now(UTC)
    return json_answer(AdaptAnswer.of(adapted.adaptation, adapted.file.quality, wish, known, now))


def _image(adapted: AdaptedFile, data: bytes, wish: Wish, known: Predictions) -> Response:
    chosen = adapted.adaptation.chosen
    candidate = chosen.candidate
    headers = image_headers(candidate.plan, candidate.mode)
    headers["X-Max-Crops"] = str(candidate.max_crops)
    if candidate.latency_ms is not None:
        headers["X-Latency-Ms"] = f"{candidate.latency_ms:.3f}"
        headers["X-Latency-Percentile"] = f"{wish.budget.percentile:g}"
        headers |= _device_headers(known.latency(candidate.plan))
    if chosen.quality is not None:
        headers["X-Ssim"] = f"{chosen.ssim:.3f}"
    return Response(data, media_type=MEDIA_TYPES[adapted.file.form], headers=headers)


def _device_headers(latency: Latency) -> dict[str, str]:
    """Name the device of a latency, and tell whether the device is this one."""
    here = "unknown" if latency.this_device is None else str(latency.this_device).lower()
    device = f"{latency.device}, {latency.dtype}, {latency.runtime}"
    return {
        "X-Latency-Device": device.encode("ascii", "replace").decode(),
        "X-Latency-This-Device": here,
    }
