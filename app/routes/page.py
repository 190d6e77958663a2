"""``GET /``: the page, and the files it is made of."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app import web

router = APIRouter(include_in_schema=False)

FILES = Path(web.__file__).with_name("static")

HEADERS = {
    # Nothing from another host, ever; `blob:` are images that are on the user's machine already.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'"
    ),
    # Asked about each time, which costs a 304: no page of one version with a script of another.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


class PageFiles(StaticFiles):
    """Files of the page, with what a browser is told about them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at ``path``, or that it is as the browser has it."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


@router.get("/")
async def page() -> FileResponse:
    """The page, all of whose addresses are relative: it works behind any prefix."""
    return FileResponse(FILES / "index.html", headers=HEADERS)


def install(app: FastAPI) -> None:
    """Serve the page and its files."""
    app.include_router(router)
    app.mount("/static", PageFiles(directory=FILES))
