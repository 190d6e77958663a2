"""The answers of several calls: JSON, and images with their facts in headers."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from app.core.plan.plan import CropPlan
from app.http.negotiation import preferred
from app.imaging.read.opening import MEDIA_TYPES

JSON = "application/json"


def json_answer(answer: BaseModel, status: int = 200) -> Response:
    """Write an answer as JSON, once; FastAPI does not validate a finished response again."""
    return Response(answer.model_dump_json(), status_code=status, media_type=JSON)


def image_or(facts: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entry of an answer with an image, or with ``facts`` as JSON."""
    return {
        200: {
            "description": f"The image; or {facts}, with `Accept: application/json`.",
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    }


def wants_json(request: Request) -> bool:
    """Tell whether the client wants the facts more than an image of any type."""
    return preferred(request, *MEDIA_TYPES.values(), JSON) == JSON


def plan_headers(plan: CropPlan) -> dict[str, str]:
    """Return the cost of an image, for clients that read no JSON."""
    return {
        "X-Crops": str(plan.grid.crops),
        "X-Total-Crops": str(plan.total_crops),
        "X-Tiling": str(plan.grid),
        "X-Prompt-Tokens": str(plan.tokens.prompt),
    }


def image_headers(plan: CropPlan, mode: str) -> dict[str, str]:
    """Return the cost of the image in an answer, its size and the way of its resize."""
    return {
        **plan_headers(plan),
        "X-Resize-Mode": mode,
        "X-Image-Width": str(plan.image.width),
        "X-Image-Height": str(plan.image.height),
    }
