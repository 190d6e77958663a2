"""``GET /``: the page and its files."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app import web

router = APIRouter(include_in_schema=False)

FILES = Path(web.__file__).with_name("static")

HEADERS = {
    # Nothing from another host; `blob:` are images on the user's machine.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'"
    ),
    # A 304 each time, lest a page of one version have a script of another.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


class PageFiles(StaticFiles):
    """Serve the files of the page with their headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the file, or with 304."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


@router.get("/")
async def page() -> FileResponse:
    """Answer with the page. Its addresses are relative: it works behind any prefix."""
    return FileResponse(FILES / "index.html", headers=HEADERS)


def install(app: FastAPI) -> None:
    """Add the page and its files to ``app``."""
    app.include_router(router)
    app.mount("/static", PageFiles(directory=FILES))
