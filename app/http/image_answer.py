"""What calls that answer with an image share: its format, its headers, and JSON in its place."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import Field

from app.core.plan.plan import CropPlan
from app.http.parameters import PlanParameters
from app.imaging.adapt import Output
from app.imaging.write.render import DEFAULT_QUALITY, OutputFormat
from app.imaging.write.resample import Resample


class OutputParameters(PlanParameters):
    """How an image that is made is written."""

    format: OutputFormat | None = Field(
        None, description="By default the image's own; PNG for GIF, BMP and TIFF."
    )
    quality: int | None = Field(
        None, ge=1, le=100, description=f"Of jpeg and webp; by default {DEFAULT_QUALITY}."
    )
    resample: Resample = Field("lanczos", description="Filter of the resize.")

    def output(self) -> Output:
        """The three as one value."""
        return Output(self.format, self.quality, self.resample)


def image_or(facts: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of an answer that is an image, or ``facts`` as JSON."""
    return {
        200: {
            "description": f"The image; or {facts}, with `Accept: application/json`.",
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    }


def wants_json(request: Request) -> bool:
    """Whether the facts are asked for, and not the image."""
    accept = request.headers.get("accept", "").lower()
    return "application/json" in accept and "image/" not in accept


def plan_headers(plan: CropPlan) -> dict[str, str]:
    """What an image costs, for clients that read no JSON."""
    return {
        "X-Crops": str(plan.grid.crops),
        "X-Total-Crops": str(plan.total_crops),
        "X-Tiling": str(plan.grid),
        "X-Prompt-Tokens": str(plan.tokens.prompt),
    }


def image_headers(plan: CropPlan, mode: str) -> dict[str, str]:
    """What the answer's image costs, and how it came about."""
    return {
        **plan_headers(plan),
        "X-Resize-Mode": mode,
        "X-Image-Width": str(plan.image.width),
        "X-Image-Height": str(plan.image.height),
    }
