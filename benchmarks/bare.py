"""Serve plain FastAPI endpoints on uvicorn: the yardsticks of ``benchmarks/http.py``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from starlette.datastructures import UploadFile

from app.main import reuse_freed_memory

BODY_FILE = "BARE_BODY_FILE"
"""The environment variable with the file that ``/bytes`` answers with."""


def create_app() -> FastAPI:
    """Make endpoints that check two integers, send bytes, and hash a body or a form."""
    reuse_freed_memory()  # as the service does, so that reading a body costs both the same
    app = FastAPI()
    body = Path(os.environ[BODY_FILE]).read_bytes()

    @app.get("/nothing")
    async def nothing() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/two")
    async def two(
        width: Annotated[int, Query(ge=1)], height: Annotated[int, Query(ge=1)]
    ) -> dict[str, int]:
        return {"width": width, "height": height}

    @app.get("/bytes")
    async def send_bytes() -> Response:
        return Response(body, media_type="application/json")

    @app.post("/hash")
    async def hash_body(request: Request) -> dict[str, str]:
        return {"sha256": hashlib.sha256(await request.body()).hexdigest()}

    @app.post("/form")
    async def hash_form(request: Request) -> dict[str, str]:
        async with request.form() as form:
            file = form["image"]
            assert isinstance(file, UploadFile)
            return {"sha256": hashlib.sha256(await file.read()).hexdigest()}

    return app
