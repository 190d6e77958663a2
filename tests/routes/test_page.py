"""The files of the page, as HTTP serves them; what a browser makes of them is in tests/web."""

import re

import pytest

from app.routes.page import FILES

pytestmark = pytest.mark.anyio


async def test_all_that_the_page_names_is_there(serve):
    """Followed from file to file: every address is relative, leads to a file, and has its type."""
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    async with serve(encoder=False) as client:
        named = re.findall(r'(?:src|href)="(static/[^"]+)"', (await client.get("/")).text)
        seen = set()
        while named:
            path = named.pop()
            if path in seen:
                continue
            seen.add(path)
            answer = await client.get(f"/{path}")
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].startswith(kinds[path.rpartition(".")[2]])
            named += [f"static/{name}" for name in re.findall(r'from "\./(.+?)"', answer.text)]
    assert seen == {f"static/{file.name}" for file in FILES.iterdir()} - {"static/index.html"}


async def test_a_browser_is_told_to_ask_no_other_host_and_to_ask_again(serve):
    """A page of one version is never shown with a script of another, and a 304 is cheap."""
    async with serve(encoder=False) as client:
        for path in ("/", "/static/main.js"):
            answer = await client.get(path)
            assert answer.headers["cache-control"] == "no-cache"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "http" not in answer.headers["content-security-policy"]
        known = {"if-none-match": answer.headers["etag"]}
        assert (await client.get("/static/main.js", headers=known)).status_code == 304


async def test_nothing_but_its_own_files_is_served(serve):
    async with serve(encoder=False) as client:
        for path in (
            "/static/",
            "/static/../../main.py",
            "/static/%2e%2e/__init__.py",
            "/static/no",
        ):
            assert (await client.get(path)).status_code == 404
