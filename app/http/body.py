"""Read the bodies of requests, counted as they arrive, and cancel the work for lost clients."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import anyio
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from app.core.errors import (
    DeadlineExceeded,
    MalformedRequest,
    PayloadTooLarge,
    UnsupportedImageType,
)
from app.http.problems import refused_by_model
from app.serving.service import Limits

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

FIELD = "image"
FORM, RAW = "multipart/form-data", ("image/*", "application/octet-stream")
"""Content types of an upload: a form with the field, or the file itself."""

MOST_JSON_BYTES = 16 * 2**10
_FORM_OVERHEAD = 64 * 2**10
"""Bytes of a form beside the file: boundaries, part headers, small fields."""

_BINARY = {"type": "string", "format": "binary"}
OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The image: as multipart field `image`, or as the body with its own type.",
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: _BINARY},
                }
            },
            **{kind: {"schema": _BINARY} for kind in RAW},
        },
    }
}


async def read_upload(request: Request, limits: Limits) -> bytes:
    """Read the image in the body of a request.

    Raises:
        UnsupportedImageType: the body is neither a form nor an image.
        MalformedRequest: the body is empty, or the form has not exactly one file ``image``.
        PayloadTooLarge: more bytes than the limit were announced or arrived.
        DeadlineExceeded: the body did not arrive in time.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limit = limits.max_upload_bytes
    if kind == FORM:
        data = await _in_time(_from_form(request, limit), limits.upload_timeout_s)
    elif kind.startswith("image/") or kind in RAW:
        data = await _in_time(_from_body(request, limit), limits.upload_timeout_s)
    else:
        raise UnsupportedImageType(
            f"the body is {kind or 'of no stated type'}; send {FORM} with a file field "
            f"'{FIELD}', or the image itself with Content-Type {' or '.join(RAW)}",
            accepted=[FORM, *RAW],
            actual=kind,
        )
    if not data:
        raise MalformedRequest("the image is empty", limit=1, actual=0)
    return data


async def read_json(request: Request, model: type[Model], limits: Limits) -> Model:
    """Read the body as ``model``; an empty body has all defaults.

    Raises:
        MalformedRequest: the body is no JSON.
        RequestValidationError: the JSON does not fit the model.
        PayloadTooLarge, DeadlineExceeded: as :func:`read_upload` says.
    """
    data = await _in_time(_from_body(request, MOST_JSON_BYTES), limits.upload_timeout_s)
    try:
        return model.model_validate_json(data or b"{}")
    except ValidationError as error:
        refused = refused_by_model(error, "body")
    found = refused.errors()[0]
    if found["type"] == "json_invalid":
        raise MalformedRequest(f"the body is no JSON: {found['msg']}")
    raise refused


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Await ``work``, and cancel it at a disconnect. The body must be read before.

    Servers do not cancel the handler of a client that has left. They report the disconnect to a
    handler that asks for more of the body.

    Raises:
        ClientDisconnect: the client has left.
    """
    with anyio.CancelScope() as scope:
        watcher = asyncio.create_task(_cancel_at_disconnect(request, scope))
        try:
            return await work
        finally:
            watcher.cancel()
    raise ClientDisconnect


async def _cancel_at_disconnect(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # an empty rest of the body
    scope.cancel()


async def _in_time(reading: Awaitable[bytes], timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await reading
    except TimeoutError:
        raise DeadlineExceeded(
            f"the upload did not arrive in {timeout_s:g} s", limit=timeout_s
        ) from None


async def _from_body(request: Request, limit: int) -> bytes:
    _check_announced(request, limit, limit)
    return await Request(request.scope, _counting(request.receive, limit, limit)).body()


async def _from_form(request: Request, limit: int) -> bytes:
    most = limit + _FORM_OVERHEAD
    _check_announced(request, most, limit)
    # Starlette limits form fields but not file parts, and a chunked body announces no length.
    counted = Request(request.scope, _counting(request.receive, most, limit))
    async with counted.form(max_files=8, max_fields=8) as form:
        files = form.getlist(FIELD)
        if len(files) != 1 or not isinstance(files[0], UploadFile):
            raise MalformedRequest(
                f"the form must have exactly one file in field '{FIELD}'",
                limit=1,
                actual=sum(isinstance(file, UploadFile) for file in files),
                found=sorted(set(form.keys())),
            )
        data = await files[0].read()
    if len(data) > limit:
        raise _too_large(limit, len(data))
    return data


def _counting(receive: Receive, most: int, limit: int) -> Receive:
    """Wrap ``receive`` with a count of bytes that refuses more than ``most``."""
    arrived = 0

    async def counted() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > most:
            raise _too_large(limit, arrived)
        return message

    return counted


def _check_announced(request: Request, most: int, limit: int) -> None:
    """Refuse by Content-Length before 100-continue, so that the client need not send the body."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(limit, int(announced))


def _too_large(limit: int, actual: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the upload has at least {actual} bytes; the limit is {limit}", limit=limit, actual=actual
    )
