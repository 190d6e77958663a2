"""``GET /``: a page that says what is here."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)


@cache
def _template() -> str:
    return Path(__file__).with_name("page.html").read_text(encoding="utf-8")


@router.get("/")
async def page(request: Request) -> HTMLResponse:
    """What is here, with a link to the OpenAPI documentation."""
    return HTMLResponse(_template().replace("{origin}", escape(str(request.base_url))))
