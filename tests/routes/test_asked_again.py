"""A question asked again has the same answer, until the profile changes."""

import asyncio
import threading

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http import JPEG, check_problem, ready

from app.main import create_app
from app.routes import plan as plan_route
from app.settings import Settings

pytestmark = pytest.mark.anyio
GETS = [
    "/plan?width=640&height=480",
    "/plan/methods?width=640&height=480",
    "/lut",
    "/lut?aspect=4:3&format=csv",
]


def client_of(app, root_path="") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def essence(answer: httpx.Response):
    return answer.status_code, answer.content, sorted(answer.headers.multi_items())


values = {
    "width": st.integers(-1, 3000).map(str),
    "height": st.integers(-1, 3000).map(str),
    "max_crops": st.sampled_from(["1", "6", "12", "13", "65"]),
    "model": st.sampled_from(["molmo-7b-d-0924", "molmo2-8b", "molmo-8b"]),
    "overlap_margins": st.sampled_from(["4,4", "0,0", "3,3", ""]),
    "aspect": st.sampled_from(["4:3", "wide"]),
    "format": st.sampled_from(["json", "csv"]),
    "maxcrops": st.just("4"),
}
queries = st.lists(
    st.sampled_from(list(values)).flatmap(lambda name: st.tuples(st.just(name), values[name])),
    max_size=5,
)


@settings(max_examples=60)
@given(
    st.sampled_from(["/plan", "/plan/methods", "/lut"]),
    queries,
    st.sampled_from(["*/*", "text/csv"]),
)
def test_asking_again_changes_nothing(path, query, accept):
    """Right or wrong, the second answer of one service is the first answer of another."""

    async def ask():
        headers = {"accept": accept}
        async with client_of(create_app(Settings(encoder=False))) as client:
            first, again = [await client.get(path, params=query, headers=headers) for _ in "12"]
        async with client_of(create_app(Settings(encoder=False))) as client:
            other = await client.get(path, params=query, headers=headers)
        assert essence(first) == essence(again) == essence(other)

    asyncio.run(ask())


@pytest.mark.parametrize("prefix", ["/api", ""])
async def test_a_root_path_changes_no_answer(photo_bytes, prefix):
    """The server put it before the path, or a proxy cut it off."""
    async with client_of(create_app(Settings(encoder=False)), root_path="/api") as client:
        photo = {"content": photo_bytes, "headers": JPEG}
        assert (await client.post(f"{prefix}/analyze", **photo)).status_code == 200
        for call in GETS:
            assert (await client.get(prefix + call)).status_code == 200, call


@pytest.mark.parametrize("path", ["/apiplan", "/apiplan/plan", "/api/api/plan"])
async def test_a_path_that_only_begins_like_the_root_path_is_unknown(path):
    async with client_of(create_app(Settings(encoder=False)), root_path="/api") as client:
        query = "?width=640&height=480"
        assert (await client.get(f"/api/plan{query}")).status_code == 200
        assert (await client.get(path + query)).status_code == 404


@pytest.mark.parametrize("call", GETS)
async def test_other_methods_and_words_are_refused(serve, call):
    """Unknown and repeated parameters, OPTIONS and POST; HEAD answers as GET does."""
    joint = "&" if "?" in call else "?"
    async with serve(encoder=False) as client:
        outcomes = [
            await client.get(f"{call}{joint}maxcrops=4"),
            await client.get(f"{call}{joint}max_crops=4&max_crops=4"),
            *[await client.request(method, call) for method in ("HEAD", "OPTIONS", "POST")],
        ]
    assert [answer.status_code for answer in outcomes] == [422, 400, 200, 405, 405]


async def test_a_changed_profile_shows_at_once(serve, fake_encoder, photo_bytes):
    """In plans, tables and analyses that were asked for without it."""
    fake_encoder.gate.clear()

    async def ask(client):
        plan = (await client.get("/plan?width=300&height=300")).json()
        table = (await client.get("/lut")).json()
        image = await client.post("/analyze?max_crops=1", content=photo_bytes, headers=JPEG)
        latencies = [plan, table["rows"][0]["options"][0], image.json()]
        return [one["latency"]["source"] for one in latencies]

    async with serve(profile_on_start=True) as client:
        for _ in range(2):
            assert await ask(client) == ["none"] * 3
        fake_encoder.gate.set()
        await ready(client, profile="complete")
        assert await ask(client) == ["profile"] * 3


async def test_large_plans_wait_in_turn_and_too_many_are_refused(serve, monkeypatch):
    """While small ones are answered."""
    gate, entered, make_plan = threading.Event(), threading.Event(), plan_route.make_plan

    def gated(size, config):
        if config.max_crops == 64:
            entered.set()
            gate.wait(60)
        return make_plan(size, config)

    monkeypatch.setattr(plan_route, "make_plan", gated)
    async with serve(encoder=False, plan_queue=0) as client:
        large = asyncio.create_task(client.get("/plan?width=640&height=480&max_crops=64"))
        await asyncio.to_thread(entered.wait, 10)
        refused = await client.get("/plan?width=641&height=480&max_crops=64")
        assert check_problem(refused, 429, "queue-full")["limit"] == 1
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/plan?width=640&height=480")).status_code == 200
        gate.set()
        assert (await large).status_code == 200
