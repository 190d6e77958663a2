"""``/overlay``: pictures of a plan, of an upload or a size."""

import asyncio
import io
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import httpx
import pytest
from PIL import Image
from support.http import JPEG, check_problem, image_bytes
from support.server import in_a_thread

from app.imaging import pictures
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

KINDS = ["crops", "comparison", "statistics", "coverage"]


async def post(client, query: str, data: bytes, **headers):
    return await client.post(f"/overlay{query}", content=data, headers={**JPEG, **headers})


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_as_png_and_svg(serve, photo_bytes, kind):
    """Decodable, of the type that the answer says, and saying what the image costs."""
    async with serve(encoder=False) as client:
        png = await post(client, f"?kind={kind}&side_px=400", photo_bytes)
        svg = await post(client, f"?kind={kind}&side_px=400&format=svg", photo_bytes)
        cost = (await client.post("/analyze", content=photo_bytes, headers=JPEG)).json()
    assert (png.status_code, svg.status_code) == (200, 200)
    assert png.headers["content-type"] == "image/png"
    assert svg.headers["content-type"].startswith("image/svg+xml")
    root = ET.fromstring(svg.content)
    with Image.open(io.BytesIO(png.content)) as made:
        assert made.size == (int(root.get("width")), int(root.get("height")))
    for answer in (png, svg):
        assert answer.headers["x-crops"] == str(cost["tiling"]["crops"]) == "6"
        assert answer.headers["x-total-crops"] == str(cost["tiling"]["total_crops"])
        assert answer.headers["x-tiling"] == "2x3"
        assert answer.headers["x-prompt-tokens"] == str(cost["tokens"]["prompt"])
        assert answer.headers["vary"] == "Accept"


async def test_crops_are_the_default_and_a_form_is_as_good_as_a_raw_body(serve, photo_bytes):
    """The same picture, byte for byte, and the same each time."""
    async with serve(encoder=False) as client:
        plain = await post(client, "?side_px=300", photo_bytes)
        named = await post(client, "?side_px=300&kind=crops&format=png", photo_bytes)
        form = await client.post("/overlay?side_px=300", files={"image": photo_bytes})
    assert plain.status_code == 200
    assert plain.content == named.content == form.content


async def test_the_plan_is_the_configured_one(serve, photo_bytes):
    """Parameters of a plan change the picture as they change the plan."""
    query = "?side_px=300&model=molmo2-8b&max_crops=4&overlap_margins=3,5"
    async with serve(encoder=False) as client:
        made = await post(client, query, photo_bytes)
        size = await client.get(f"/overlay{query}&width=640&height=427&format=svg")
        planned = (await client.get(
            "/plan?width=640&height=427&model=molmo2-8b&max_crops=4&overlap_margins=3,5"
        )).json()  # fmt: skip
    for answer in (made, size):
        assert answer.headers["x-crops"] == str(planned["tiling"]["crops"])
        assert answer.headers["x-prompt-tokens"] == str(planned["tokens"]["prompt"])
    ids = [element.get("id") or "" for element in ET.fromstring(size.content).iter()]
    assert sum(each.startswith("crop-") for each in ids) == planned["tiling"]["crops"]


async def test_an_image_is_drawn_upright(serve):
    """EXIF orientation 6 turns 500x400 into 400x500, as planning does."""
    async with serve(encoder=False) as client:
        made = await post(client, "?side_px=300", image_bytes(500, 400, orientation=6))
    with Image.open(io.BytesIO(made.content)) as picture:
        assert made.headers["x-tiling"] == "2x2"
        assert picture.height > picture.width


async def test_what_is_wrong_is_said(serve, photo_bytes):
    """By the one table; parameters before the image is looked at."""
    async with serve(encoder=False) as client:
        unknown = await post(client, "?knd=crops", photo_bytes)
        check_problem(unknown, 422, "invalid-parameters")
        check_problem(await post(client, "?kind=nice", photo_bytes), 422, "invalid-parameters")
        check_problem(await post(client, "?kind=crops&kind=crops", photo_bytes), 400,
                      "malformed-request")  # fmt: skip
        for side in (199, 4097, 0, -1):
            refused = check_problem(
                await post(client, f"?side_px={side}", photo_bytes), 422, "invalid-config"
            )
            assert refused["actual"] == side
            assert refused["parameter"] == "side_px"
            refused = await client.get(f"/overlay?width=64&height=48&side_px={side}")
            check_problem(refused, 422, "invalid-config")
        check_problem(await post(client, "", b"no image at all"), 415, "unsupported-image-type")
        check_problem(await post(client, "", photo_bytes[:5000]), 422, "undecodable-image")
        check_problem(await post(client, "", b""), 400, "malformed-request")
        check_problem(await client.get("/overlay?width=640"), 422, "invalid-parameters")
        check_problem(await client.get("/overlay?width=0&height=1"), 422, "invalid-size")
        check_problem(await client.get("/overlay?width=1&height=900000"), 422, "collapsed-image")


async def test_limits_hold(serve, photo_bytes):
    """Too many bytes and too many pixels are refused as everywhere."""
    async with serve(encoder=False, max_upload_bytes=1000) as client:
        check_problem(await post(client, "", photo_bytes), 413, "payload-too-large")
    async with serve(encoder=False, max_pixels=1000) as client:
        check_problem(await post(client, "", photo_bytes), 422, "too-many-pixels")


async def test_a_drawing_that_hangs_holds_nothing_else_up(serve, monkeypatch, photo_bytes):
    """Health answers, images are resized, and of further drawings only so many wait."""
    gate, begun = threading.Event(), threading.Event()

    def hangs(*arguments) -> SimpleNamespace:
        begun.set()
        gate.wait(60)
        return SimpleNamespace(png=lambda: b"drawn")

    monkeypatch.setattr(pictures, "lay_out", hangs)
    async with serve(encoder=False, image_workers=2, image_queue=8) as client:
        posts = [asyncio.create_task(post(client, "", photo_bytes)) for _ in range(9)]
        await asyncio.to_thread(begun.wait, 20)
        assert (await client.get("/healthz")).status_code == 200
        resize = "/resize?target_crops=4"
        resized = [client.post(resize, content=photo_bytes, headers=JPEG) for _ in range(3)]
        assert [answer.status_code for answer in await asyncio.gather(*resized)] == [200] * 3
        assert (await client.get("/readyz")).status_code == 200
        gate.set()
        answers = await asyncio.gather(*posts)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 5 + [429] * 4
    refused = next(answer for answer in answers if answer.status_code == 429)
    check_problem(refused, 429, "queue-full")
    assert refused.headers["retry-after"] == "1"


def test_clients_that_have_gone_leave_the_queue(monkeypatch, photo_bytes):
    """Whoever hangs up before the turn comes frees its place at once, and is never drawn for."""
    gate, begun, drawn = threading.Event(), threading.Event(), []

    def hangs(kind, plan, *rest) -> SimpleNamespace:
        drawn.append(plan.image.width)
        begun.set()
        gate.wait(60)
        return SimpleNamespace(png=lambda: b"drawn")

    monkeypatch.setattr(pictures, "lay_out", hangs)
    app = create_app(Settings(encoder=False, image_workers=2, image_queue=2))
    with in_a_thread(app) as address, ThreadPoolExecutor() as clients, ExitStack() as opened:
        opened.callback(gate.set)
        sized = f"{address}/overlay?width={{}}&height=400"
        first = clients.submit(httpx.get, sized.format(401), timeout=20)
        assert begun.wait(60)
        upload = {"content": photo_bytes, "headers": JPEG}
        for method, url, options in (
            ("GET", sized.format(402), {}),
            ("POST", f"{address}/overlay", upload),
        ):
            for _ in range(3):  # of two places the other one is free each time
                with pytest.raises(httpx.ReadTimeout):
                    httpx.request(method, url, timeout=0.3, **options)
        last = clients.submit(httpx.get, sized.format(403), timeout=20)
        time.sleep(0.3)
        gate.set()
        assert (first.result().status_code, last.result().status_code) == (200, 200)
    assert drawn == [401, 403]


async def test_the_contract_says_what_is_answered(serve):
    """Both types under both methods, the body of an upload, and no schema of JSON."""
    async with serve(encoder=False) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]["/overlay"]
    for method in ("get", "post"):
        content = paths[method]["responses"]["200"]["content"]
        assert set(content) == {"image/png", "image/svg+xml"}
        names = {each["name"] for each in paths[method]["parameters"]}
        assert {"kind", "format", "side_px", "model", "max_crops"} <= names
    assert "image/*" in paths["post"]["requestBody"]["content"]
    assert "requestBody" not in paths["get"]
