"""Make the forms of answers: JSON, images with facts in headers, and answers without a body."""

import hashlib
from collections.abc import Mapping
from typing import Any

import mimeparse
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from app.core.plan.plan import CropPlan
from app.imaging.read.opening import MEDIA_TYPES
from app.schemas.answer import to_json

JSON = "application/json"

MediaRange = tuple[str, str, dict[str, str]]
"""The type, the subtype and the parameters of a range, ``q`` included."""

_NAMED = 100
"""The fitness of a range with the same type, by mimeparse; ``*/*`` has less."""


def json_answer(answer: object, status: int = 200) -> Response:
    """Write an answer as JSON, once; FastAPI does not validate a finished response again."""
    return Response(to_json(answer), status_code=status, media_type=JSON)


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
    """Return the cost of the image in an answer, its size and its resize mode."""
    return {
        **plan_headers(plan),
        "X-Resize-Mode": mode,
        "X-Image-Width": str(plan.image.width),
        "X-Image-Height": str(plan.image.height),
    }


def preferred(request: Request, *offers: str) -> str:
    """Return the media type that the client wants most, by ``Accept`` (RFC 9110, 12.5.1).

    Each offer has the quality of the most specific range for it. Of equal qualities a type that
    the client names, or its ``type/*``, wins against ``*/*``. Then the earlier offer wins.
    """
    accept = ",".join(request.headers.getlist("accept")).lower()
    ranges = [found for text in accept.split(",") if (found := _media_range(text))]
    if not ranges:
        return offers[0]

    def rank(offer: str) -> tuple[float, bool]:
        quality, fitness = mimeparse.quality_and_fitness_parsed(offer, ranges)
        return quality, quality > 0 and fitness >= _NAMED

    return max(offers, key=rank)


def _media_range(text: str) -> MediaRange | None:
    """Read one range; return None for a text without the form of one, as the empty text."""
    try:
        found: MediaRange = mimeparse.parse_media_range(text)
    except mimeparse.MimeTypeParseException:
        return None
    return found


class Tagged(Response):
    """Answer with an ``ETag``, or with 304 to a request whose ``If-None-Match`` names the tag.

    One object may answer many requests: ``/lut`` caches it.
    """

    def __init__(self, body: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        self._etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        tagged = {"ETag": self._etag, **headers}
        super().__init__(body, media_type=media_type, headers=tagged)
        self._not_modified = Response(status_code=304, headers=tagged)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_named_by(Headers(scope=scope).get("if-none-match", "")):
            await self._not_modified(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def _is_named_by(self, if_none_match: str) -> bool:
        """Compare weakly, by RFC 9110 for If-None-Match."""
        tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        return self._etag in tags or "*" in tags
