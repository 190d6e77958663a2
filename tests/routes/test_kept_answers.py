"""Answers that are kept are those that would have been made, and nothing else is kept."""

import asyncio
import threading

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http import JPEG, check_problem, image_bytes

from app.http import answers
from app.main import create_app
from app.routes import lut
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
    """Whatever is asked, right or wrong: as the first time, and as where nothing is kept."""
    keeping = create_app(Settings(encoder=False))
    keeping_nothing = create_app(Settings(encoder=False, answer_cache_bytes=0))

    async def ask():
        async with client_of(keeping) as client, client_of(keeping_nothing) as other:
            headers = {"accept": accept}
            first, again = [await client.get(path, params=query, headers=headers) for _ in "12"]
            made = await other.get(path, params=query, headers=headers)
        assert essence(first) == essence(again) == essence(made)

    asyncio.run(ask())


async def test_a_plan_is_made_once_for_all_who_ask_for_it(serve, monkeypatch, photo_bytes):
    """By /plan, in whatever words, and by /analyze of images of the size."""
    planned = []
    make_plan = answers.make_plan
    monkeypatch.setattr(
        answers, "make_plan", lambda size, config: planned.append(size) or make_plan(size, config)
    )
    async with serve(encoder=False) as client:
        bodies = [
            (await client.get(f"/plan?{query}")).content
            for query in ["width=640&height=427", "height=427&width=640", "width=640&height=427"]
        ]
        for _ in range(3):
            await client.post("/analyze", content=photo_bytes, headers=JPEG)
    assert bodies[0] == bodies[1] == bodies[2]
    assert len(planned) == 1


@pytest.mark.parametrize("call", GETS)
async def test_what_is_kept_is_answered_without_fastapi(serve, monkeypatch, call):
    """Its dependency on the service is not even looked for."""
    async with serve(encoder=False) as client:
        first = await client.get(call)
        monkeypatch.setattr("fastapi.routing.solve_dependencies", None)
        assert essence(await client.get(call)) == essence(first)


@pytest.mark.parametrize("prefix", ["/api", ""])
async def test_behind_a_root_path_it_is_answered_without_fastapi_too(
    monkeypatch, photo_bytes, prefix
):
    """Whether the server put it before the path or a proxy cut it off."""
    async with client_of(create_app(Settings(encoder=False)), root_path="/api") as client:

        async def ask():
            photo = {"content": photo_bytes, "headers": JPEG}
            analyzed = await client.post(f"{prefix}/analyze", **photo)
            return [essence(await client.get(prefix + call)) for call in GETS] + [essence(analyzed)]

        first = await ask()
        monkeypatch.setattr("fastapi.routing.solve_dependencies", None)
        assert await ask() == first
    assert {status for status, *_ in first} == {200}


@pytest.mark.parametrize("path", ["/apiplan", "/apiplan/plan", "/api/api/plan"])
async def test_what_only_begins_like_the_root_path_is_no_kept_path(path):
    async with client_of(create_app(Settings(encoder=False)), root_path="/api") as client:
        query = "?width=640&height=480"
        assert (await client.get(f"/api/plan{query}")).status_code == 200
        assert (await client.get(path + query)).status_code == 404


@pytest.mark.parametrize("call", GETS)
async def test_other_methods_and_words_are_refused_as_before(serve, call):
    """Unknown and repeated parameters, OPTIONS and POST, after a success of a similar query.

    HEAD is no other method: it answers what GET does.
    """
    joint = "&" if "?" in call else "?"
    async with serve(encoder=False) as client:
        outcomes = []
        for _ in range(2):
            outcomes.append([
                essence(await client.get(f"{call}{joint}maxcrops=4")),
                essence(await client.get(f"{call}{joint}max_crops=4&max_crops=4")),
                *[essence(await client.request(m, call)) for m in ("HEAD", "OPTIONS", "POST")],
            ])  # fmt: skip
            assert (await client.get(call)).status_code == 200
    assert [status for status, *_ in outcomes[0]] == [422, 400, 200, 405, 405]
    assert outcomes[0] == outcomes[1]


async def test_csv_and_json_are_kept_apart(serve):
    async with serve(encoder=False) as client:
        for accept, kind in [("*/*", "application/json"), ("text/csv", "text/csv")] * 2:
            answer = await client.get("/lut", headers={"accept": accept})
            assert answer.headers["content-type"].startswith(kind)


async def test_a_changed_profile_shows_at_once(serve, fake_encoder, photo_bytes):
    """In every answer that was kept without it."""
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
        for _ in range(500):
            if (await client.get("/readyz")).json()["encoder"]["profile"] == "complete":
                break
        assert await ask(client) == ["profile"] * 3


async def test_refused_uploads_are_refused_alike_once_their_query_is_known(serve, photo_bytes):
    wrong = [
        {"content": b"", "headers": JPEG},
        {"content": b"x" * 99, "headers": JPEG},
        {"content": photo_bytes[:5000], "headers": JPEG},
        {"content": b"x"},
        {"files": {"other": photo_bytes}},
        {"content": photo_bytes + bytes(10**6), "headers": JPEG},
        {"content": image_bytes(4000, 10), "headers": JPEG},
    ]
    for query in ["", "?decode=full&latency=none", "?repeats=3&latency=measure"]:
        async with serve(encoder=False, max_upload_bytes=10**6) as client:
            call = f"/analyze{query}"
            before = [essence(await client.post(call, **body)) for body in wrong]
            answer = await client.post(call, content=photo_bytes, headers=JPEG)
            assert answer.status_code == (503 if "measure" in query else 200)
            assert [essence(await client.post(call, **body)) for body in wrong] == before
    assert all(status >= 400 for status, *_ in before)


async def test_errors_are_not_kept(serve):
    app_bytes = []
    async with serve(encoder=False) as client:
        kept = client._transport.app.state.answers
        for call in ["/plan?width=1&height=4000", "/plan?width=640", "/lut?aspect=0:1"]:
            for _ in range(2):
                assert (await client.get(call)).status_code == 422
            app_bytes.append(kept.kept_bytes)
    assert len(set(app_bytes)) == 1


async def test_what_is_kept_is_bounded_in_bytes(serve):
    """However many sizes are asked for, and by whatever number of words for one."""
    limit = 200_000
    async with serve(encoder=False, answer_cache_bytes=limit) as client:
        kept = client._transport.app.state.answers
        for number in range(60):
            await client.get(f"/plan?width={300 + number}&height=400")
            await client.get(f"/plan?width={'0' * number}300&height=400")
            assert kept.kept_bytes <= limit
        assert kept.kept_bytes > limit / 4


async def test_the_table_is_there_before_anyone_asks(serve, monkeypatch, fake_encoder):
    """And again, made of the new profile, when there is one."""
    monkeypatch.setattr(lut, "LOOK_AGAIN_S", 0.001)
    made = asyncio.Queue()
    tabled = lut._table
    monkeypatch.setattr(lut, "_table", lambda *a: made.put_nowait(a[2].profile) or tabled(*a))
    fake_encoder.gate.clear()
    async with serve(profile_on_start=True) as client:
        assert await asyncio.wait_for(made.get(), 10) is None
        fake_encoder.gate.set()
        while (profile := await asyncio.wait_for(made.get(), 10)) is None:
            pass  # another reason why there is none yet
        while not made.empty() or len(profile.entries) < fake_encoder.profile_counts:
            profile = await asyncio.wait_for(made.get(), 10)
        table = (await client.get("/lut")).json()
        assert made.empty()
    assert table["rows"][0]["options"][0]["latency"]["source"] == "profile"


async def test_a_table_that_cannot_be_made_ready_is_made_ready_at_the_next_change(
    serve, monkeypatch, fake_encoder, caplog
):
    """And said in the log."""
    monkeypatch.setattr(lut, "LOOK_AGAIN_S", 0.001)
    made, tabled = asyncio.Queue(), lut._table

    def fails_without_a_profile(*arguments):
        made.put_nowait(arguments[2].profile)
        if arguments[2].profile is None:
            raise RuntimeError("for once")
        return tabled(*arguments)

    monkeypatch.setattr(lut, "_table", fails_without_a_profile)
    fake_encoder.gate.clear()
    async with serve(profile_on_start=True) as client:
        kept = client._transport.app.state.answers
        assert await asyncio.wait_for(made.get(), 10) is None
        assert not kept.kept_bytes
        fake_encoder.gate.set()
        while await asyncio.wait_for(made.get(), 10) is None:
            pass  # another reason why there is none yet
        assert kept.kept_bytes
    assert "for once" in caplog.text


async def test_large_plans_wait_in_turn_and_too_many_are_refused(serve, monkeypatch):
    """While small ones, and what is kept, are answered."""
    gate, entered, make_plan = threading.Event(), threading.Event(), answers.make_plan

    def gated(size, config):
        if config.max_crops == 64:
            entered.set()
            gate.wait(10)
        return make_plan(size, config)

    monkeypatch.setattr(answers, "make_plan", gated)
    async with serve(encoder=False, plan_queue=0) as client:
        large = asyncio.create_task(client.get("/plan?width=640&height=480&max_crops=64"))
        await asyncio.to_thread(entered.wait, 10)
        refused = await client.get("/plan?width=641&height=480&max_crops=64")
        assert check_problem(refused, 429, "queue-full")["limit"] == 1
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/plan?width=640&height=480")).status_code == 200
        gate.set()
        assert (await large).status_code == 200
