"""Answer errors as RFC 9457 problem details, by one table of statuses; describe them in OpenAPI."""

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.core import errors
from app.schemas.answer import problem_type
from app.schemas.service import Problem

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[errors.CropPlannerError], int] = {
    errors.InvalidConfig: 422,
    errors.InvalidSize: 422,
    errors.CollapsedImage: 422,
    errors.UnknownModel: 422,
    errors.UnreachableTarget: 422,
    errors.BudgetUnreachable: 422,
    errors.LatencyUnknown: 422,
    errors.MalformedRequest: 400,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedImageType: 415,
    errors.UndecodableImage: 422,
    errors.TooManyPixels: 422,
    errors.EncoderError: 500,
    errors.CheckpointError: 500,
    errors.EncoderUnavailable: 503,
    errors.RuntimesDisagree: 503,
    errors.EncoderMismatch: 422,
    errors.DeviceLost: 503,
    errors.OutOfDeviceMemory: 507,
    errors.InvalidProfile: 500,
    errors.MeasurementRunning: 409,
    errors.UnknownMeasurement: 404,
    errors.ModelServerError: 502,
    errors.NoPrefillLine: 422,
    errors.QueueFull: 429,
    errors.DeadlineExceeded: 504,
}
"""Every error of ``app.core.errors`` has its row, by test."""

_RETRY_AFTER_S = {429: 1, 503: 5}
_CLIENT_CLOSED_REQUEST = 499


def problem(
    status: int,
    *,
    slug: str,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """Make a problem response; ``members`` are its facts for programs."""
    body = {
        "type": problem_type(slug),
        "title": title,
        "status": status,
        "detail": detail,
        **members,
    }
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` as a problem."""
    app.add_exception_handler(errors.CropPlannerError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _disconnect)
    app.add_exception_handler(Exception, _unexpected)
    app.openapi = partial(_with_problem, app.openapi)  # type: ignore[method-assign]


def _with_problem(generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Make the OpenAPI document with the schema of problems; every operation refers to it."""
    document = generate()
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return document


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route's problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def refused_by_model(error: ValidationError, place: str) -> RequestValidationError:
    """Name the refused fields of a ``query`` or a ``body``, as FastAPI's own reading does."""
    found = error.errors(include_url=False, include_context=False)
    return RequestValidationError([{**item, "loc": (place, *item["loc"])} for item in found])


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.CropPlannerError)
    status = STATUS[type(error)]
    if status >= 500 and status not in (503, 504):
        log.error("%s %s: %s", request.method, request.url.path, error.detail)
    headers = {}
    if status in _RETRY_AFTER_S:
        wait_s = error.facts.get("retry_after_s", _RETRY_AFTER_S[status])
        headers["Retry-After"] = str(wait_s)
    return problem(
        status,
        slug=error.slug,
        title=error.title,
        detail=error.detail,
        headers=headers,
        **error.facts,
    )


def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {
            "parameter": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]),
            "reason": "unknown parameter" if item["type"] == "extra_forbidden" else item["msg"],
            "actual": item.get("input") if isinstance(item.get("input"), str | int) else None,
        }
        for item in error.errors()
    ]
    return problem(
        422,
        slug="invalid-parameters",
        title="Parameters are missing, unknown or out of range",
        detail="; ".join(f"{item['parameter']}: {item['reason']}" for item in found),
        errors=found,
    )


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    slug = "malformed-request" if error.status_code == 400 else phrase.lower().replace(" ", "-")
    return problem(
        error.status_code,
        slug=slug,
        title=phrase,
        detail=f"{request.method} {request.url.path}: {error.detail}",
        headers=dict(error.headers) if error.headers else None,
    )


def _disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)  # nobody is there to read it


def _unexpected(request: Request, error: Exception) -> Response:
    """Answer an unforeseen error without its text; the server's log has the traceback."""
    return problem(
        500,
        slug="internal-error",
        title="Internal error",
        detail="the service failed on this request; its log says why",
    )
