"""``Accept`` is read as RFC 9110 says, by every call with several forms of an answer."""

import pytest
from starlette.requests import Request
from support.http import JPEG

from app.http.answers import preferred

pytestmark = pytest.mark.anyio
JSON, CSV, PNG, SVG = "application/json", "text/csv", "image/png", "image/svg+xml"
BROWSER_IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def choose(accept: str | list[str] | None, *offers: str) -> str:
    lines = [accept] if isinstance(accept, str) else accept or []
    headers = [(b"accept", line.encode()) for line in lines]
    return preferred(Request({"type": "http", "headers": headers}), *offers)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/html", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/*", CSV),
        ("text/csv, */*", CSV),
        ("text/csv, application/json", JSON),
        ("text/csv;q=0.9, application/json;q=0.8", CSV),
        ("text/csv;q=0.8, application/json;q=0.9", JSON),
        ("text/csv;q=0.001, application/json;q=0", CSV),
        ("text/csv;q=0, */*;q=0.1", JSON),
        ("application/json;q=0, */*;q=0.1", CSV),
        ("text/*;q=0.3, */*;q=0.9", JSON),
        ("application/*;q=0.2, text/csv;q=0.3", CSV),
        ("*/*;q=0.1, text/csv;q=0.05", JSON),
        ("text/csv ; q=0.5 , application/json ; q=0.4", CSV),
        ("text/csv;header=present;q=0.5, application/json;q=0.4", CSV),
        ("text/csv; Q=0.1, application/json; q=0.4", JSON),
        (", ,text/csv,,", CSV),
        ("nonsense, text/csv", CSV),
        ("nonsense", JSON),
        ("*", JSON),
        (["application/json;q=0.2", "text/csv;q=0.5"], CSV),
        ("application/json, text/plain, */*", JSON),
    ],
)
def test_the_most_specific_range_gives_each_type_its_quality(accept, wanted):
    assert choose(accept, JSON, CSV) == wanted


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", PNG),
        ("image/*", PNG),
        (SVG, SVG),
        (f"{PNG}, {SVG}", PNG),
        (f"{SVG}, */*;q=0.8", SVG),
        (f"{SVG};q=0.5, {PNG};q=0.9", PNG),
        (f"{PNG};q=0, image/*", SVG),
        (f"image/*;q=0.9, {PNG};q=0.1", SVG),
        (BROWSER_IMAGE, PNG),
        ("text/html", PNG),
    ],
)
async def test_a_picture_is_svg_only_for_a_client_that_prefers_it(serve, accept, wanted):
    """An ``<img>`` of a browser names SVG and would take anything. ``format`` decides before."""
    query = "/overlay?width=400&height=300&side_px=200&kind=statistics"
    async with serve(encoder=False) as client:
        answer = await client.get(query, headers={"accept": accept})
        named = await client.get(f"{query}&format=png", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(wanted)
    assert named.headers["content-type"] == PNG
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", CSV),
        ("application/json;q=0.5, text/csv;q=0.9", CSV),
        ("application/json, text/csv;q=0.9", JSON),
        ("text/csv;q=0, application/json;q=0.1", JSON),
        ("application/json;q=0, */*", CSV),
    ],
)
async def test_a_table_is_json_or_csv(serve, accept, wanted):
    """Without wishes it is JSON."""
    async with serve(encoder=False) as client:
        answer = await client.get("/lut?max_crops=2", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(JSON if accept == "*/*" else wanted)
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize("call", ["/resize?target_crops=2", "/adapt?max_tokens=400"])
@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("*/*", False),
        ("application/json", True),
        ("application/json, text/plain, */*", True),
        ("application/json, image/*", False),
        ("application/json;q=0.9, image/*;q=0.1", True),
        ("application/json;q=0.5, image/webp", False),
        ("application/json;q=0.5, image/webp;q=0.4, image/*;q=0", True),
        ("application/json;q=0", False),
        ("application/json;q=0, */*;q=0.1", False),
        ("text/html", False),
    ],
)
async def test_facts_are_for_a_client_that_prefers_json_to_every_image(
    serve, photo_bytes, call, accept, json
):
    async with serve(encoder=False) as client:
        answer = await client.post(call, content=photo_bytes, headers={**JPEG, "accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == ("application/json" if json else "image/jpeg")
