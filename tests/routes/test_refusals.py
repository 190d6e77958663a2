"""What the service refuses: clearly, with the numbers, and taking nothing down."""

import asyncio
import io

import pytest
from PIL import Image
from starlette.requests import Request
from support.http import JPEG, check_problem, image_bytes, ready
from support.tree import all_errors

from app.core import errors
from app.http import problems
from app.http.problems import STATUS

pytestmark = pytest.mark.anyio


async def test_every_error_has_a_status_and_a_slug_of_its_own():
    assert set(STATUS) == set(all_errors())
    slugs = [error.slug for error in all_errors()]
    assert len(set(slugs)) == len(slugs)


def test_a_full_queue_says_when_to_come_back():
    error = errors.QueueFull("full", retry_after_s=7)
    answer = problems._ours(Request({"type": "http", "method": "GET", "path": "/"}), error)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


async def test_an_unknown_parameter_is_called_so(serve):
    async with serve(encoder=False) as client:
        answer = await client.get("/plan?width=640&height=480&maxcrops=4")
    [wrong] = check_problem(answer, 422, "invalid-parameters")["errors"]
    assert wrong == {"parameter": "maxcrops", "reason": "unknown parameter", "actual": "4"}


@pytest.mark.parametrize("count", [51, 6_000])
async def test_a_query_of_very_many_parameters_is_refused_in_a_word(serve, count):
    """Before their names are looked at: the answer would repeat each of them."""
    query = "&".join(f"p{number}=1" for number in range(count))
    async with serve(encoder=False) as client:
        answer = await client.get(f"/plan?{query}")
    problem = check_problem(answer, 400, "malformed-request")
    assert (problem["limit"], problem["actual"]) == (50, count)
    assert len(answer.content) < 500


async def test_the_most_repeated_parameter_is_named(serve):
    async with serve(encoder=False) as client:
        answer = await client.get("/plan?width=1&width=2&height=3&height=4&height=5")
    problem = check_problem(answer, 400, "malformed-request")
    assert (problem["parameter"], problem["actual"]) == ("height", 3)


async def test_every_error_is_in_the_tree_people_read():
    for error in all_errors():
        assert f" {error.__name__} " in errors.__doc__


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("width=640&height=480&maxcrops=4", "invalid-parameters"),
        ("width=640", "invalid-parameters"),
        ("width=wide&height=480", "invalid-parameters"),
        ("width=0&height=480", "invalid-size"),
        ("width=640&height=480&model=molmo-8b", "unknown-model"),
        ("width=640&height=480&max_crops=65", "invalid-config"),
        ("width=640&height=480&overlap_margins=3,4", "invalid-config"),
        ("width=640&height=480&overlap_margins=4", "invalid-parameters"),
        ("width=640&height=480&overlap_margins=12,12", "invalid-config"),
        ("width=640&height=480&crop_size_px=337", "invalid-config"),
        ("width=1&height=4000", "collapsed-image"),
    ],
)
async def test_wrong_parameters(serve, query, slug):
    async with serve() as client:
        check_problem(await client.get(f"/plan?{query}"), 422, slug)


@pytest.mark.parametrize("call", ["/analyze", "/resize?target_crops=2"])
async def test_wrong_bodies(serve, call):
    async with serve() as client:

        async def post(**body):
            return await client.post(call, **body)

        check_problem(await post(content=b"", headers=JPEG), 400, "malformed-request")
        check_problem(await post(content=b"x" * 99, headers=JPEG), 415, "unsupported-image-type")
        check_problem(await post(data={"image": "text"}), 415, "unsupported-image-type")
        refused = await post(content=b"x")
        problem = check_problem(refused, 415, "unsupported-image-type")
        assert "Content-Type image/* or application/octet-stream" in problem["detail"]
        truncated = image_bytes(300, 300)[:2000]
        check_problem(await post(content=truncated, headers=JPEG), 422, "undecodable-image")
        wrong = await post(files={"picture": image_bytes(50, 50)})
        body = check_problem(wrong, 400, "malformed-request")
        assert body["found"] == ["picture"]
        two = await post(files=[("image", image_bytes(50, 50)), ("image", image_bytes(50, 50))])
        assert check_problem(two, 400, "malformed-request")["actual"] == 2
        field = await post(files={"image": (None, "text")})
        check_problem(field, 400, "malformed-request")
        broken = await post(
            content=b"--b\r\nnonsense", headers={"content-type": "multipart/form-data; boundary=b"}
        )
        check_problem(broken, 400, "malformed-request")
        no_boundary = await post(content=b"x", headers={"content-type": "multipart/form-data"})
        check_problem(no_boundary, 400, "malformed-request")


async def test_bytes_are_counted_as_they_arrive(serve):
    """Announced or chunked, raw or in a form: above the limit is 413, at the limit is not."""
    data = image_bytes(200, 200, "BMP")

    async def chunks():
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    async with serve(max_upload_bytes=len(data) - 1) as client:
        bmp = {"content-type": "image/bmp"}
        for body in (
            {"content": data, "headers": bmp},
            {"content": chunks(), "headers": bmp},
            {"files": {"image": data}},
            {"files": {"image": data + bytes(100_000)}},
        ):
            problem = check_problem(await client.post("/analyze", **body), 413, "payload-too-large")
            assert problem["limit"] == len(data) - 1
            assert problem["actual"] > problem["limit"]
    async with serve(max_upload_bytes=len(data)) as client:
        assert (await client.post("/analyze", content=data, headers=bmp)).status_code == 200
        assert (await client.post("/analyze", files={"image": data})).status_code == 200


async def test_a_huge_chunked_form_is_cut_off_early(serve):
    """The part has no length and Starlette would spool all of it."""
    sent = 0

    async def endless():
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        while sent < 50_000_000:
            sent += 100_000
            yield b"x" * 100_000

    async with serve(max_upload_bytes=200_000) as client:
        answer = await client.post(
            "/analyze",
            content=endless(),
            headers={"content-type": "multipart/form-data; boundary=b"},
        )
    check_problem(answer, 413, "payload-too-large")
    # The test client's transport collects what is sent; what counts is that no more was read.
    assert answer.json()["actual"] <= 200_000 + 64 * 2**10 + 100_000


async def test_pixels_above_the_limit(serve):
    async with serve(max_pixels=9_999) as client:
        answer = await client.post("/analyze", content=image_bytes(100, 100), headers=JPEG)
    body = check_problem(answer, 422, "too-many-pixels")
    assert (body["limit"], body["actual"]) == (9_999, 10_000)


async def test_a_slow_upload_is_given_up(serve):
    async def slow():
        yield b"\xff\xd8\xff"
        await asyncio.sleep(5)

    async with serve(upload_timeout_s=0.05) as client:
        # The transport reads the whole body first, so feed the application itself.
        app = client._transport.app
        sent = []

        async def receive():
            await asyncio.sleep(5)

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/analyze", "query_string": b"",
            "headers": [(b"content-type", b"image/jpeg")], "http_version": "1.1",
            "scheme": "http", "server": ("test", 80), "root_path": "",
        }  # fmt: skip
        await app(scope, receive, send)
    assert sent[0]["status"] == 504


async def test_too_many_uploads_are_refused_with_retry_after(serve, fake_encoder, photo_bytes):
    """One in the encoder, and no place left; health and planning answer meanwhile."""
    fake_encoder.gate.clear()
    async with serve(image_workers=1, image_queue=0) as client:
        await ready(client)
        held = asyncio.create_task(
            client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
        )
        await asyncio.to_thread(fake_encoder.started.wait, 5)
        refused = await client.post("/analyze", content=photo_bytes, headers=JPEG)
        body = check_problem(refused, 429, "queue-full")
        assert (body["limit"], body["actual"]) == (1, 1)
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/plan?width=9&height=9")).status_code == 200
        fake_encoder.gate.set()
        assert (await held).status_code == 200


async def test_a_full_encoder_queue_and_a_passed_deadline(serve, fake_encoder, photo_bytes):
    fake_encoder.gate.clear()
    async with serve(encoder_queue=0, measure_timeout_s=0.2) as client:
        await ready(client)

        def measure():
            return client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)

        # With no place to wait, even the first is refused only if the worker is taken.
        answers = await asyncio.gather(measure(), measure())
        fake_encoder.gate.set()
    assert {answer.status_code for answer in answers} <= {429, 504}


async def test_measuring_another_model_is_refused(serve, photo_bytes):
    async with serve() as client:
        await ready(client)
        answer = await client.post(
            "/analyze?latency=measure&model=molmo2-8b", content=photo_bytes, headers=JPEG
        )
    check_problem(answer, 422, "encoder-mismatch")


async def test_measuring_without_an_encoder_is_503(serve, photo_bytes):
    async with serve(encoder=False) as client:
        answer = await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
        check_problem(answer, 503, "encoder-unavailable")
        assert (await client.get("/readyz")).status_code == 200
        planned = await client.post("/analyze", content=photo_bytes, headers=JPEG)
    assert "without an encoder" in planned.json()["latency"]["reason"]


async def test_repeats_are_bounded_and_need_measuring(serve, photo_bytes):
    async with serve() as client:
        for query in ("repeats=3", "latency=measure&repeats=51", "latency=measure&repeats=0"):
            answer = await client.post(f"/analyze?{query}", content=photo_bytes, headers=JPEG)
            assert answer.status_code == 422, query


async def test_a_failing_pass_reaches_its_own_request_only(serve, fake_encoder, photo_bytes):
    async with serve() as client:
        await ready(client)
        fake_encoder.failure = RuntimeError("device lost")
        failed = await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
        body = check_problem(failed, 500, "internal-error")
        assert "device lost" not in str(body)
        fake_encoder.failure = None
        again = await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
        assert again.status_code == 200


async def test_a_dead_worker_shows_in_health(serve, fake_encoder, photo_bytes):
    async with serve() as client:
        await ready(client)
        fake_encoder.failure = SystemExit()
        answer = await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
        check_problem(answer, 503, "encoder-unavailable")
        for _ in range(100):
            health = await client.get("/healthz")
            if health.status_code == 503:
                break
        assert health.json()["status"] == "dead"
        assert (await client.get("/readyz")).json()["status"] == "dead"
        assert (await client.get("/plan?width=9&height=9")).status_code == 200


async def test_a_wedged_encoder_shows_in_health(serve, fake_encoder, photo_bytes):
    fake_encoder.gate.clear()
    async with serve(encoder_stall_s=0.05, measure_timeout_s=0.3) as client:
        await ready(client)
        held = await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
        assert held.status_code == 504
        for _ in range(200):  # the pass may have begun only just now
            health = (await client.get("/healthz")).json()
            if health["status"] != "ok":
                break
            await asyncio.sleep(0.01)
        assert health["status"] == "stalled"
        assert (await client.get("/readyz")).status_code == 503
        fake_encoder.gate.set()


async def test_unknown_paths_and_methods_are_problems_too(serve):
    async with serve() as client:
        check_problem(await client.get("/nothing"), 404, "not-found")
        not_allowed = await client.get("/analyze")
        check_problem(not_allowed, 405, "method-not-allowed")
        assert not_allowed.headers["allow"] == "POST"


async def test_parameters_of_other_calls_are_unknown(serve):
    async with serve() as client:
        for call in (
            "/models?x=1",
            "/latency?x=1",
            "/lut?x=1",
            "/plan?width=1&height=1&latency=none",
        ):
            assert (await client.get(call)).status_code == 422, call


async def test_a_parameter_given_twice_is_refused(serve):
    async with serve() as client:
        answer = await client.get("/plan?width=640&width=3&height=480")
        assert check_problem(answer, 400, "malformed-request")["parameter"] == "width"
        check_problem(await client.get("/plan?width=9&height=9&model="), 422, "unknown-model")


async def test_probes_may_add_parameters_and_use_head(serve):
    async with serve(encoder=False) as client:
        for call in ("/healthz?probe=1", "/readyz?probe=1", "/?utm=1"):
            assert (await client.get(call)).status_code == 200
        assert (await client.head("/healthz")).status_code == 200


async def test_webp_cannot_hold_what_jpeg_can(serve):
    image = Image.new("RGB", (40, 20_000))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    async with serve() as client:
        answer = await client.post(
            "/resize?tiling=12x1&mode=stretch&crop_size_px=2016&format=webp",
            content=buffer.getvalue(),
            headers={"content-type": "image/png"},
        )
    assert check_problem(answer, 422, "invalid-config")["limit"] == 16_383
