"""A real browser on a real server: the page as its users have it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)
from support.profiles import entry, profile
from support.server import serving, wait_for

from app.profiles import save_profile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

expect.set_options(timeout=60_000)  # a busy machine draws late

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# The tilings of a square, and of 3:2, that fit 12 crops.
GRIDS = ((0, 0), (1, 1), (1, 2), (2, 2), (2, 3), (2, 4), (3, 3), (3, 4))


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """A service without an encoder, whose profile has 100 ms a crop."""
    folder = tmp_path_factory.mktemp("profiles")
    entries = [entry(rows, cols, 100.0 * (rows * cols + 1)) for rows, cols in GRIDS]
    file = save_profile(profile(*entries), folder)
    with serving(folder, encoder="false", profile=file) as (_, address):
        wait_for(f"{address}/healthz")
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Not for the session: while it lives this thread has a running event loop, which others need.
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: the page is not tested (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium, url) -> Iterator[Open]:
    """Opens the page in a window of its own; nothing may go wrong in it unnoticed.

    Whatever a test does, the page asks no other host, and logs no error but what is expected.
    """
    wrong: list[str] = []

    def watch(request: Request, url: str) -> None:
        if urlsplit(request.url).scheme in ("blob", "data"):
            return
        if not request.url.startswith(f"{url}/"):
            wrong.append(f"asked {request.url}")

    def note(message: ConsoleMessage, expected: str) -> None:
        if message.type in ("error", "warning") and expected not in message.text:
            wrong.append(f"logged {message.text}")

    with ExitStack() as opened:

        def open_one(
            path: str = "/", *, at: str = url, expected: str = "status of 4", **options
        ) -> Page:
            context: BrowserContext = chromium.new_context(accept_downloads=True, **options)
            opened.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.on("request", lambda request: watch(request, at))
            page.on("pageerror", lambda error: wrong.append(f"raised {error}"))
            page.on("console", lambda message: note(message, expected))
            page.goto(at + path)
            page.locator("#cliffs li").first.wait_for()
            return page

        yield open_one
    assert not wrong


@pytest.fixture
def photo(tmp_path, photo_bytes) -> Path:
    """A real photo, 640x427: 6 crops as 2x3."""
    file = tmp_path / "rocket.jpg"
    file.write_bytes(photo_bytes)
    return file
