"""The OpenAPI document. ``make openapi`` writes its golden file anew."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.schemas.service import Problem


def operation_id(route: APIRoute) -> str:
    """Name an operation by its function, for generated clients."""
    return route.name


def install(app: FastAPI) -> None:
    """Add the schema of problems to the document of ``app``; every operation refers to it."""
    app.openapi = partial(_with_problem, app, app.openapi)  # type: ignore[method-assign]


def _with_problem(app: FastAPI, generate: Any) -> dict[str, Any]:
    document: dict[str, Any] = generate()
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return document


def openapi_json(app: FastAPI) -> str:
    """Return the document as a file."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"
