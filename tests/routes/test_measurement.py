"""``/latency/measure`` over HTTP: started, followed, refused, stopped."""

import asyncio

import pytest
from support.http import JPEG, check_problem, ready

pytestmark = pytest.mark.anyio
URL = "/latency/measure"


async def ended(client, answer) -> dict:
    """The measurement that was started, once it is over."""
    for _ in range(1000):
        body = (await client.get(answer.headers["location"])).json()
        if body["status"] != "running":
            return body
        await asyncio.sleep(0.002)
    raise AssertionError("never ended")


async def held(client, encoder, **body):
    """A measurement whose first pass lasts until the gate is set."""
    encoder.gate.clear()
    answer = await client.post(URL, json=body)
    assert await asyncio.to_thread(encoder.started.wait, 5)
    return answer


async def test_it_is_accepted_and_says_where_to_look(serve):
    """With the names that clients are written against."""
    async with serve() as client:
        await ready(client)
        answer = await client.post(URL, json={"counts": [2, 1], "repeats": 3, "full": True})
        assert answer.status_code == 202
        assert answer.headers["location"] == f"{URL}/{answer.json()['id']}"
        done = await ended(client, answer)
        assert done.keys() == answer.json().keys() == {
            "id", "status", "progress", "phase", "total_crops", "last_ms", "started_at",
            "ended_at", "request", "error", "profile",
        }  # fmt: skip
        assert (done["status"], done["progress"], done["error"]) == ("done", 1.0, None)
        assert done["request"] == {
            "counts": [1, 2], "repeats": 3, "dtype": "float32", "full": True,
        }  # fmt: skip
        assert [entry["total_crops"] for entry in done["profile"]["entries"]] == [1, 2]
        latency = (await client.get("/plan?width=300&height=300")).json()["latency"]
    assert (latency["source"], latency["vision_ms"]["p50"]) == ("profile", 20.5)


@pytest.mark.parametrize("body", [{}, {"content": b"{}"}, {"json": {"counts": None}}])
async def test_an_empty_body_is_enough(serve, body):
    async with serve() as client:
        await ready(client)
        answer = await client.post(URL, **body)
        assert answer.status_code == 202, answer.text
        assert (await ended(client, answer))["request"]["counts"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"count": [1]}, "count"),
        ({"counts": []}, "counts"),
        ({"counts": [1, 0]}, "counts.1"),
        ({"counts": [66]}, "counts.0"),
        ({"counts": ["1"]}, "counts.0"),
        ({"counts": 3}, "counts"),
        ({"repeats": 0}, "repeats"),
        ({"repeats": 501}, "repeats"),
        ({"dtype": "int8"}, "dtype"),
        ({"full": "yes"}, "full"),
    ],
)
async def test_wrong_bodies_are_named_and_start_nothing(serve, body, parameter):
    async with serve() as client:
        await ready(client)
        problem = check_problem(await client.post(URL, json=body), 422, "invalid-parameters")
        assert problem["errors"][0]["parameter"] == parameter
        assert (await client.get("/readyz")).json()["encoder"]["measurement"] is None


async def test_bodies_that_are_no_small_json_are_refused(serve):
    async with serve() as client:
        await ready(client)
        check_problem(await client.post(URL, content=b"{counts"), 400, "malformed-request")
        check_problem(await client.post(URL, json=[1]), 422, "invalid-parameters")
        check_problem(await client.post(URL, content=b" " * 20_000), 413, "payload-too-large")
        check_problem(await client.post(f"{URL}?counts=1"), 422, "invalid-parameters")


async def test_a_second_one_is_refused_with_the_id_of_the_first(serve, fake_encoder):
    """The service answers everything else meanwhile, and shows how far it is."""
    async with serve() as client:
        await ready(client)
        first = await held(client, fake_encoder)
        problem = check_problem(await client.post(URL), 409, "measurement-running")
        assert problem["id"] == first.json()["id"]
        assert (await client.get("/healthz")).status_code == 200
        for call in ("/readyz", "/latency"):
            answer = await client.get(call)
            assert answer.status_code == 200
            assert answer.json()["encoder"]["measurement"] == {
                "id": first.json()["id"], "progress": 0.0, "phase": None, "total_crops": None,
            }  # fmt: skip
        fake_encoder.gate.set()
        await ended(client, first)
        assert (await client.get("/readyz")).json()["encoder"]["measurement"] is None


async def test_that_of_the_start_is_a_measurement_too(serve, fake_encoder):
    fake_encoder.gate.clear()
    async with serve(profile_on_start=True) as client:
        await ready(client)
        running = check_problem(await client.post(URL), 409, "measurement-running")["id"]
        body = (await client.get(f"{URL}/{running}")).json()
        assert (body["status"], body["request"]["counts"]) == ("running", [1, 2, 3])
        fake_encoder.gate.set()


async def test_requests_are_served_between_two_passes(serve, fake_encoder, photo_bytes):
    async with serve() as client:
        await ready(client)
        measurement = await held(client, fake_encoder)
        encoding = asyncio.create_task(client.post("/encode", content=photo_bytes, headers=JPEG))
        for _ in range(1000):
            if (await client.get("/readyz")).json()["waiting"]:
                break
            await asyncio.sleep(0.002)
        fake_encoder.gate.set()
        assert (await encoding).status_code == 200
        assert (await ended(client, measurement))["status"] == "done"


async def test_it_is_cancelled_by_deleting_it_as_often_as_one_likes(serve, fake_encoder):
    async with serve() as client:
        await ready(client)
        answer = await held(client, fake_encoder)
        where = answer.headers["location"]
        assert (await client.delete(where)).status_code == 200
        fake_encoder.gate.set()
        cancelled = await ended(client, answer)
        assert cancelled["status"] == "cancelled"
        assert cancelled["profile"]["complete"] is False
        assert (await client.delete(where)).json() == cancelled
        assert (await client.get("/latency")).json()["profile"] is None


async def test_a_failure_is_told_as_a_problem_is(serve, fake_encoder):
    fake_encoder.profile_failure = lambda: RuntimeError("device lost")
    async with serve() as client:
        await ready(client)
        failed = await ended(client, await client.post(URL))
    assert failed["status"] == "failed"
    assert failed["error"]["type"] == "urn:crop-planner:problem:internal-error"
    assert "device lost" not in failed["error"]["detail"]


async def test_an_unknown_measurement_is_404(serve):
    async with serve() as client:
        for method in ("GET", "DELETE"):
            answer = await client.request(method, f"{URL}/0123")
            assert check_problem(answer, 404, "unknown-measurement")["actual"] == "0123"


async def test_without_a_ready_encoder_it_is_503(serve):
    async with serve(encoder=False) as client:
        check_problem(await client.post(URL), 503, "encoder-unavailable")
