"""``POST /encode``: the tokens of just this image, with what they cost and where they come from."""

import asyncio

import pytest
from safetensors.torch import load
from support.fakes import FakeEncoder
from support.http import JPEG, check_problem, image_bytes, ready

from app.core.errors import DeviceLost
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan

pytestmark = pytest.mark.anyio
MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])


def read(answer) -> tuple[dict, dict]:
    """Tensors and metadata; the header is JSON after its length in 8 bytes."""
    import json

    assert answer.status_code == 200, answer.text
    length = int.from_bytes(answer.content[:8], "little")
    return load(answer.content), json.loads(answer.content[8 : 8 + length])["__metadata__"]


def timing(answer) -> dict[str, float]:
    entries = (part.split(";") for part in answer.headers["server-timing"].split(", "))
    return {entry[0]: float(entry[1].removeprefix("dur=")) for entry in entries}


@pytest.mark.parametrize("multipart", [True, False])
async def test_the_answer_has_the_tokens_of_the_plan(serve, photo_bytes, multipart):
    body = {"files": {"image": photo_bytes}} if multipart else {"content": photo_bytes}
    async with serve() as client:
        await ready(client)
        answer = await client.post("/encode", **body, headers={} if multipart else JPEG)
    tensors, metadata = read(answer)
    plan = make_plan(Size(640, 427), MOLMO1)
    assert tensors["tokens"].shape == (plan.tokens.patch, 4)
    assert set(tensors["tokens"].flatten().tolist()) == {640.0}
    assert len(tensors["positions"]) == plan.tokens.patch
    assert metadata == {
        "model": "molmo-7b-d-0924", "weights": "random", "dtype": "float32", "device": "fake",
        "tiling": "2x3", "crops": "6", "total_crops": "7", "prompt_tokens": "740",
        "patch_tokens": "704", "image_width": "640", "image_height": "427", "max_crops": "12",
        "overlap_margins": "4,4", "crop_size_px": "336",
    }  # fmt: skip
    shown = {name: answer.headers[f"x-{name}"] for name in
             ("crops", "total-crops", "tiling", "prompt-tokens", "weights")}  # fmt: skip
    assert shown == {"crops": "6", "total-crops": "7", "tiling": "2x3", "prompt-tokens": "740",
                     "weights": "random"}  # fmt: skip


async def test_every_stage_is_timed_and_the_pass_says_its_size(serve, photo_bytes):
    async with serve() as client:
        await ready(client)
        answer = await client.post("/encode", content=photo_bytes, headers=JPEG)
    assert timing(answer).keys() == {"decode", "preprocess", "queue", "encode"}
    assert all(ms >= 0 for ms in timing(answer).values())
    assert timing(answer)["decode"] > 0
    assert 'desc="a pass over 7 crops"' in answer.headers["server-timing"]


async def test_parameters_choose_the_plan_and_unknown_ones_are_refused(serve, photo_bytes):
    async with serve() as client:
        await ready(client)
        answer = await client.post("/encode?max_crops=2", content=photo_bytes, headers=JPEG)
        assert answer.headers["x-crops"] == "2"
        refused = await client.post("/encode?repeats=3", content=photo_bytes, headers=JPEG)
        check_problem(refused, 422, "invalid-parameters")
        other = await client.post("/encode?model=molmo2-8b", content=photo_bytes, headers=JPEG)
        check_problem(other, 422, "encoder-mismatch")


async def holding(client, encoder: FakeEncoder, width: int) -> asyncio.Task:
    """A request whose pass lasts until ``encoder.gate`` is set."""
    encoder.gate.clear()
    first = asyncio.create_task(post(client, width))
    await asyncio.to_thread(encoder.started.wait, 5)
    return first


async def post(client, width: int):
    return await client.post("/encode", content=image_bytes(width, 300), headers=JPEG)


async def waiting(client, count: int) -> None:
    for _ in range(1000):
        if (await client.get("/readyz")).json()["waiting"] == count:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"never were {count} waiting")


async def test_requests_that_wait_together_run_together_and_get_their_own(serve, fake_encoder):
    async with serve() as client:
        await ready(client)
        first = await holding(client, fake_encoder, 300)
        others = [asyncio.create_task(post(client, width)) for width in (310, 320, 330)]
        await waiting(client, 3)
        fake_encoder.gate.set()
        for width, task in zip((300, 310, 320, 330), [first, *others], strict=True):
            tensors, _ = read(await task)
            assert set(tensors["tokens"].flatten().tolist()) == {float(width)}
    assert [sorted(widths) for widths in fake_encoder.batches] == [[300], [310, 320, 330]]


async def test_a_bad_image_fails_alone(serve, fake_encoder):
    """And as an internal error, which it is."""
    fake_encoder.poison_px = 320
    async with serve() as client:
        await ready(client)
        first = await holding(client, fake_encoder, 300)
        others = [asyncio.create_task(post(client, width)) for width in (310, 320, 330)]
        await waiting(client, 3)
        fake_encoder.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [answer.status_code for answer in answers] == [200, 200, 500, 200]
        check_problem(answers[2], 500, "internal-error")


async def test_an_image_that_does_not_fit_is_507_and_the_service_stays_up(serve, fake_encoder):
    fake_encoder.memory_crops = 2
    async with serve() as client:
        await ready(client)
        too_large = await client.post("/encode", content=image_bytes(900, 900), headers=JPEG)
        check_problem(too_large, 507, "out-of-device-memory")
        assert (await post(client, 300)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


async def test_a_full_queue_is_429_with_its_numbers(serve, fake_encoder):
    async with serve(encode_queue_crops=4) as client:
        await ready(client)
        first = await holding(client, fake_encoder, 300)
        second = asyncio.create_task(post(client, 310))
        await waiting(client, 1)
        refused = await post(client, 320)
        problem = check_problem(refused, 429, "queue-full")
        assert (problem["limit"], problem["actual"]) == (4, 6)
        assert int(refused.headers["retry-after"]) >= 1
        fake_encoder.gate.set()
        assert [(await task).status_code for task in (first, second)] == [200, 200]


async def test_a_deadline_is_504_and_nothing_is_encoded_for_it(serve, fake_encoder):
    async with serve(encode_timeout_s=0.2) as client:
        await ready(client)
        first = await holding(client, fake_encoder, 300)
        check_problem(await post(client, 310), 504, "deadline-exceeded")
        check_problem(await first, 504, "deadline-exceeded")
        await waiting(client, 0)
        fake_encoder.gate.set()
        assert (await post(client, 320)).status_code == 200
    assert fake_encoder.batches == [[300], [320]]


async def test_a_dead_encoder_fails_all_that_wait(serve, fake_encoder):
    fake_encoder.failure = SystemExit()
    async with serve() as client:
        await ready(client)
        first = await holding(client, fake_encoder, 300)
        second = asyncio.create_task(post(client, 310))
        await waiting(client, 1)
        fake_encoder.gate.set()
        for task in (first, second):
            check_problem(await task, 503, "encoder-unavailable")
        check_problem(await post(client, 320), 503, "encoder-unavailable")


async def unhealthy(client) -> None:
    """Both probes say that only a restart helps, and why."""
    for _ in range(1000):
        health = await client.get("/healthz")
        if health.status_code == 503:
            break
        await asyncio.sleep(0.002)
    assert (health.status_code, health.json()["status"]) == (503, "dead")
    assert "illegal memory access" in health.json()["reason"]
    readiness = await client.get("/readyz")
    assert (readiness.status_code, readiness.json()["status"]) == (503, "dead")
    assert "illegal memory access" in readiness.json()["encoder"]["reason"]


async def test_a_lost_device_fails_all_that_wait_and_asks_for_a_restart(serve, fake_encoder):
    """The pass is not tried in halves, and whoever comes later hears why."""
    async with serve() as client:
        await ready(client)
        first = await holding(client, fake_encoder, 300)
        others = [asyncio.create_task(post(client, width)) for width in (310, 320)]
        await waiting(client, 2)
        fake_encoder.failure = DeviceLost("CUDA error: an illegal memory access")
        fake_encoder.gate.set()
        for task in (first, *others):
            check_problem(await task, 503, "encoder-unavailable")
        await unhealthy(client)
        late = check_problem(await post(client, 330), 503, "encoder-unavailable")
        assert "illegal memory access" in late["detail"]
    assert fake_encoder.batches == [[300]]


async def test_a_device_lost_in_a_measurement_asks_for_a_restart(serve, fake_encoder, photo_bytes):
    fake_encoder.failure = DeviceLost("CUDA error: an illegal memory access")
    async with serve() as client:
        await ready(client)
        answer = await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
        check_problem(answer, 503, "encoder-unavailable")
        await unhealthy(client)


async def test_a_device_lost_while_profiled_asks_for_a_restart(serve, fake_encoder):
    fake_encoder.profile_failure = lambda: DeviceLost("CUDA error: an illegal memory access")
    async with serve(profile_on_start=True) as client:
        await unhealthy(client)


async def test_a_device_lost_while_an_image_is_staged_asks_for_a_restart(serve, fake_encoder):
    """Pinned memory comes from the device's driver, in whatever thread."""
    fake_encoder.stage_failure = DeviceLost("CUDA error: an illegal memory access")
    async with serve() as client:
        await ready(client)
        check_problem(await post(client, 300), 503, "encoder-unavailable")
        await unhealthy(client)


async def test_without_an_encoder_the_upload_is_not_even_read(serve):
    """An empty body would be 400 otherwise."""
    async with serve(encoder=False) as client:
        answer = await client.post("/encode", content=b"", headers=JPEG)
        check_problem(answer, 503, "encoder-unavailable")


async def test_wrong_bodies_are_refused_as_everywhere(serve):
    async with serve() as client:
        await ready(client)
        empty = await client.post("/encode", content=b"", headers=JPEG)
        check_problem(empty, 400, "malformed-request")
        damaged = await client.post("/encode", content=image_bytes(300, 300)[:2000], headers=JPEG)
        check_problem(damaged, 422, "undecodable-image")
