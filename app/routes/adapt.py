"""``POST /adapt``: from a latency or token budget to the image that keeps it and loses least."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.core.adaptation import Wish
from app.core.control.budget import Budget, Strategy
from app.core.control.resizing import Upscale
from app.core.errors import DeadlineExceeded, EncoderUnavailable, LatencyUnknown
from app.core.latency.latency import Latency
from app.core.latency.predictions import Predictions
from app.core.latency.prefill import PrefillCost, asked_prefill
from app.http.body import OPENAPI_BODY, read_upload
from app.http.disconnect import while_connected
from app.http.image_answer import OutputParameters, image_headers, image_or, wants_json
from app.http.parameters import ServiceDependency
from app.http.problems import responses
from app.imaging.adapt import AdaptedFile, adapt_file
from app.imaging.write.render import MEDIA_TYPES
from app.notation import parse_modes
from app.schemas.adapt import AdaptAnswer

router = APIRouter(tags=["control"])


class AdaptParameters(OutputParameters):
    latency_budget_ms: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Most ms that the vision tokens may take, and prefill if given.",
    )
    max_tokens: int | None = Field(None, ge=1, description="Most prompt tokens of the image.")
    percentile: float = Field(95, gt=0, lt=100, description="Of the latency that is predicted.")
    quality_threshold: float | None = Field(
        None, ge=0, le=1, description="Least SSIM of an image that is made."
    )
    modes: str = Field(
        "fit,pad",
        examples=["fit", "fit,pad,crop"],
        description="Ways to resize that may be taken: of fit, pad, crop, stretch.",
    )
    strategy: Strategy = Field(
        "best",
        description="`best`: the best quality of resizing and of limiting the model's `max_crops`. "
        "`resize`: another image only. `max_crops`: the limit only, the image untouched. "
        "`hybrid`: a limit under which no image breaks the budget, and resizing within it.",
    )
    upscale: Upscale = Field("never", description="`allow`: candidates may be enlarged.")
    prefill_ms_per_token: float | None = Field(
        None, description="The language model's prefill, per prompt token; by default the setting."
    )
    prefill_base_ms: float | None = Field(
        None, description="What prefill takes besides. Only with prefill_ms_per_token."
    )

    def wish(self, prefill: PrefillCost | None) -> Wish:
        """What is asked for, with the service's cost of prefill where the request has none."""
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
    parameters: Annotated[AdaptParameters, Query()],
    service: ServiceDependency,
) -> Response:
    """Leave the image alone if it keeps the budget, else take what keeps most of the picture."""
    config, wish = parameters.config(service), parameters.wish(service.prefill)
    as_json = wants_json(request)
    known, still_measured = service.encoder.predictions(), service.encoder.profile_is_coming
    limit_s = service.limits.adapt_timeout_s

    def work() -> Response:
        deadline = time.monotonic() + limit_s

        def before_each() -> None:
            if time.monotonic() > deadline:
                raise DeadlineExceeded(
                    f"the candidates' qualities were not measured in {limit_s:g} s", limit=limit_s
                )

        adapted = adapt_file(
            data,
            config,
            wish,
            known.latency,
            parameters.output(),
            max_pixels=service.limits.max_pixels,
            measure_all=as_json,
            make=not as_json,
            all_known=still_measured,
            before_each=before_each,
        )
        if adapted.data is None:
            answer = AdaptAnswer.of(
                adapted.adaptation, adapted.quality, wish, known, datetime.now(UTC)
            )
            return Response(answer.model_dump_json(), media_type="application/json")
        return _image(adapted, adapted.data, wish, known)

    async with service.images.admit():
        data = await read_upload(request, service.limits)
        try:
            return await while_connected(request, service.images.run(work))
        except LatencyUnknown as error:
            if not still_measured:
                raise
            told = f"{error.detail}; the profile is still being measured"
            raise EncoderUnavailable(told, state=service.encoder.status().state) from None


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
    return Response(data, media_type=MEDIA_TYPES[adapted.form], headers=headers)


def _device_headers(latency: Latency) -> dict[str, str]:
    """Whose latency it is: never another device's without saying so."""
    here = "unknown" if latency.this_device is None else str(latency.this_device).lower()
    device = f"{latency.device}, {latency.dtype}, {latency.runtime}"
    return {
        "X-Latency-Device": device.encode("ascii", "replace").decode(),
        "X-Latency-This-Device": here,
    }
