from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.cli.conftest import Run


def over_http(method: str, url: str, **request: Any) -> Any:
    """The JSON of the service without an encoder, as the command line has none for these."""

    async def call() -> Any:
        transport = httpx.ASGITransport(create_app(Settings(encoder=False)))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return (await client.request(method, url, **request)).json()

    return anyio.run(call)


def without_times(answer: Any) -> Any:
    """The answer without reasons for no latency, which differ, and the time that decoding took."""
    if isinstance(answer, dict):
        hidden = ("reason", "decode")
        return {key: without_times(value) for key, value in answer.items() if key not in hidden}
    return [without_times(item) for item in answer] if isinstance(answer, list) else answer


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("plan", "1000x300"), "/plan?width=1000&height=300"),
        (
            ("plan", "9x9", "--model", "molmo2-4b", "--max-crops", 3, "--overlap-margins", "2,4"),
            "/plan?width=9&height=9&model=molmo2-4b&max_crops=3&overlap_margins=2,4",
        ),
        (("lut",), "/lut"),
        (("lut", "--aspect", "16:9", "--max-crops", 5), "/lut?aspect=16:9&max_crops=5"),
        (("lut", "--size", "800x600"), "/lut?width=800&height=600"),
        (("plan", "9x9", "--model", "gpt"), "/plan?width=9&height=9&model=gpt"),
        (("plan", "0x9"), "/plan?width=0&height=9"),
        (("methods", "1920x1080"), "/plan/methods?width=1920&height=1080"),
        (
            ("methods", "900x900", "--target-tokens", 600, "--model", "molmo2-4b"),
            "/plan/methods?width=900&height=900&target_tokens=600&model=molmo2-4b",
        ),
        (
            ("methods", "9x9", "--target-tokens", 600, "--target-crops", 4),
            "/plan/methods?width=9&height=9&target_tokens=600&target_crops=4",
        ),
    ],
)
def test_json_is_what_http_gives(run: Run, arguments: tuple[object, ...], url: str) -> None:
    """The same objects from the same core, errors included."""
    result = run(*arguments, "--json")
    printed = json.loads(result.stdout or result.stderr)
    assert without_times(printed) == without_times(over_http("GET", url))


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("analyze", "--latency", "none"), "/analyze?latency=none"),
        (("resize", "--target-crops", 4), "/resize?target_crops=4"),
        (("resize", "--target-crops", 6), "/resize?target_crops=6"),
        (
            ("resize", "--target-tokens", 500, "--format", "webp", "--quality", 60),
            "/resize?target_tokens=500&format=webp&quality=60",
        ),
        (
            ("resize", "--tiling", "1x7", "--mode", "fit", "--upscale", "never"),
            "/resize?tiling=1x7&mode=fit&upscale=never",
        ),
    ],
)
def test_json_about_a_file_is_what_http_gives(
    run: Run, photo: Path, arguments: tuple[object, ...], url: str
) -> None:
    """An upload and a file are the same bytes."""
    command, *options = arguments
    result = run(command, photo, *options, "--json")
    printed = json.loads(result.stdout or result.stderr)
    headers = {"accept": "application/json", "content-type": "image/jpeg"}
    answer = over_http("POST", url, content=photo.read_bytes(), headers=headers)
    assert without_times(printed) == without_times(answer)
