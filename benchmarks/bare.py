"""What any FastAPI endpoint on uvicorn costs: the yardstick of ``benchmarks/http.py``."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.datastructures import UploadFile

BODY_FILE = "BARE_BODY_FILE"
"""The environment variable that names the file ``/bytes`` answers with."""


def create_app() -> FastAPI:
    """Endpoints that do nothing, send bytes, and read a body or a form."""
    app = FastAPI()
    body = Path(os.environ[BODY_FILE]).read_bytes()

    @app.get("/nothing")
    async def nothing() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/bytes")
    async def send_bytes() -> Response:
        return Response(body, media_type="application/json")

    @app.post("/read")
    async def read(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/form")
    async def read_form(request: Request) -> dict[str, int]:
        async with request.form() as form:
            file = form["image"]
            assert isinstance(file, UploadFile)
            return {"bytes": len(await file.read())}

    return app
