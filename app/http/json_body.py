"""Read a small JSON body, counting bytes as they arrive."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.core.errors import MalformedRequest
from app.http.body import read_body
from app.serving.service import Limits

MOST_BYTES = 16 * 2**10
"""More than any body needs that we take; FastAPI itself would read one of any size."""

Body = TypeVar("Body", bound=BaseModel)


def openapi_body(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI entry of a body that may be left out."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": False, "content": {"application/json": {"schema": schema}}}}


async def read_json(request: Request, model: type[Body], limits: Limits) -> Body:
    """The body as ``model``, which an empty one is with its defaults.

    Raises:
        MalformedRequest: it is not JSON.
        RequestValidationError: it is not what the model describes.
        PayloadTooLarge, DeadlineExceeded: as for an upload.
    """
    data = await read_body(request, MOST_BYTES, limits.upload_timeout_s)
    try:
        return model.model_validate_json(data or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        raise MalformedRequest(f"the body is no JSON: {found[0]['msg']}")
    raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found])
