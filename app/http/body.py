"""Read an upload, counting bytes as they arrive."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from app.core.errors import (
    DeadlineExceeded,
    MalformedRequest,
    PayloadTooLarge,
    UnsupportedImageType,
)
from app.serving.service import Limits

FIELD = "image"
_FORM_OVERHEAD = 64 * 2**10
"""Bytes a multipart body may have beside the file: boundaries, part headers, small fields."""

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The image: as multipart field `image`, or as the body with its own type.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


async def read_upload(request: Request, limits: Limits) -> bytes:
    """The bytes of the image in a request's body.

    Raises:
        UnsupportedImageType: neither ``multipart/form-data`` nor an ``image/*`` body.
        MalformedRequest: an empty body, or a form without exactly one file ``image``.
        PayloadTooLarge: more bytes than the limit, announced or arrived.
        DeadlineExceeded: the body did not arrive in time.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(limits.upload_timeout_s):
            if kind == "multipart/form-data":
                data = await _from_form(request, limits.max_upload_bytes)
            elif kind.startswith("image/"):
                data = await _from_body(request, limits.max_upload_bytes)
            else:
                raise UnsupportedImageType(
                    f"the body is {kind or 'of no stated type'}; send multipart/form-data with a "
                    f"file field '{FIELD}', or the image itself with an image/* Content-Type",
                    accepted=["multipart/form-data", "image/*"],
                    actual=kind,
                )
    except TimeoutError:
        raise _too_slow(limits.upload_timeout_s) from None
    if not data:
        raise MalformedRequest("the image is empty", limit=1, actual=0)
    return data


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes:
    """The body as it is.

    Raises:
        PayloadTooLarge: more bytes than ``limit``, announced or arrived.
        DeadlineExceeded: it did not arrive in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _from_body(request, limit)
    except TimeoutError:
        raise _too_slow(timeout_s) from None


async def _from_body(request: Request, limit: int) -> bytes:
    _check_announced(request, limit, limit)
    receive, data, more = _counting(request.receive, limit, limit), bytearray(), True
    while more:  # as Request.stream does, without its generator
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(data)


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
    """Refuse by Content-Length before a byte is read, so that the client need not send it."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(limit, int(announced))


def _too_large(limit: int, actual: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"the upload has at least {actual} bytes; the limit is {limit}", limit=limit, actual=actual
    )


def _too_slow(timeout_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"the upload did not arrive in {timeout_s:g} s", limit=timeout_s)
