"""``POST /adapt``: the budget is kept, the image is what was promised, and nothing is silent."""

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.fakes import fake_profile
from support.http import JPEG, check_problem, image_bytes, ready

from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.imaging import adapt as adapting

pytestmark = pytest.mark.anyio

PHOTO = (Path(__file__).parents[2] / "docs" / "samples" / "rocket.jpg").read_bytes()
AS_JSON = {**JPEG, "accept": "application/json"}
"""640x427: 2x3, 740 prompt tokens, 7 crops in all; 70 ms at the median by the fake profile."""


@pytest.fixture
async def client(serve, fake_encoder):
    """A service with a profile of up to 13 crops in all, 10 ms each."""
    fake_encoder.saved = fake_profile(13)
    async with serve() as client:
        await ready(client)
        yield client


async def weigh(client, data=PHOTO, **params):
    answer = await client.post("/adapt", params=params, content=data, headers=AS_JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_image_within_the_budget_comes_back_as_it_is(client):
    """Byte for byte, and nothing else is weighed."""
    answer = await client.post("/adapt?max_tokens=740", content=PHOTO, headers=JPEG)
    assert answer.content == PHOTO
    assert answer.headers["x-resize-mode"] == "unchanged"
    told = await weigh(client, max_tokens=740, latency_budget_ms=100)
    assert [one["mode"] for one in told["alternatives"]] == ["unchanged"]
    assert told["decision"]["reason"] == "as it is, it keeps 100 ms at p95 and 740 prompt tokens"
    assert told["compared_px"] is None


@pytest.mark.parametrize("strategy", ["best", "resize", "hybrid"])
async def test_the_image_keeps_the_budget_and_plans_to_what_was_promised(client, strategy):
    """What comes back is planned by the service itself, under the limit that was named."""
    params = {"latency_budget_ms": 52, "strategy": strategy}
    told = (await weigh(client, **params))["decision"]
    answer = await client.post("/adapt", params=params, content=PHOTO, headers=JPEG)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (told["width"], told["height"])
    limit = {"max_crops": answer.headers["x-max-crops"]}
    plan = await client.post("/analyze", params=limit, content=answer.content, headers=JPEG)
    assert plan.json()["tiling"] == told["tiling"]
    assert plan.json()["tokens"]["prompt"] == told["prompt_tokens"]
    assert told["tiling"]["crops"] == 4
    assert plan.json()["latency"]["vision_ms"]["p95"] == told["latency_ms"] <= 52
    assert float(answer.headers["x-ssim"]) == told["image_quality"]["ssim"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.none() | st.floats(15, 140),
    st.none() | st.integers(100, 1300),
    st.sampled_from(["best", "resize", "max_crops", "hybrid"]),
    st.sampled_from(["fit", "pad", "fit,pad", "pad,crop,stretch", "fit,crop"]),
    st.none() | st.floats(0.5, 1),
    st.sampled_from([(640, 427), (900, 900), (1400, 300), (333, 801)]),
)
async def test_whatever_is_asked_the_best_within_the_budget_comes(
    client, latency_budget_ms, max_tokens, strategy, modes, quality_threshold, size
):
    """Never above the budget, never worse than another within it, and the image is as promised."""
    asked = {
        "latency_budget_ms": latency_budget_ms,
        "max_tokens": max_tokens,
        "quality_threshold": quality_threshold,
        "strategy": strategy,
        "modes": modes,
    }
    params = {name: value for name, value in asked.items() if value is not None}
    data = image_bytes(*size)
    answer = await client.post("/adapt", params=params, content=data, headers=AS_JSON)
    image = await client.post("/adapt", params=params, content=data, headers=JPEG)
    assert image.status_code == answer.status_code
    told = answer.json()
    if answer.status_code == 422:
        if latency_budget_ms is None and max_tokens is None:
            check_problem(answer, 422, "invalid-config")
        else:
            assert_refusal_was_due(check_problem(answer, 422, "budget-unreachable"), asked)
        return
    taken, rows = told["decision"], told["alternatives"]
    # Shown to the µs.
    assert latency_budget_ms is None or taken["latency_ms"] <= latency_budget_ms + 0.0005
    assert max_tokens is None or taken["prompt_tokens"] <= max_tokens
    assert sum(row["chosen"] for row in rows) == 1
    assert planned(image) == (taken["tiling"]["rows"], taken["tiling"]["cols"])
    if told["compared_px"] is not None:
        best = taken["image_quality"]["ssim"]
        for row in rows:
            if row["within_budget"] and row["image_quality"]["ssim"] > best:
                assert row["image_quality"]["ssim"] < quality_threshold + 0.0005


def planned(image):
    """What the model makes of an image answer, under the limit that it names."""
    with Image.open(io.BytesIO(image.content)) as made:
        size = Size(made.width, made.height)
    config = make_config(FAMILIES["molmo-7b-d-0924"], max_crops=int(image.headers["x-max-crops"]))
    grid = make_plan(size, config).grid
    return grid.rows, grid.cols


def assert_refusal_was_due(problem, asked):
    """The best that could be had misses what was asked for."""
    best = problem["best"]
    if problem.get("parameter") == "quality_threshold":
        assert best["ssim"] < asked["quality_threshold"]
    else:
        latency_ms, tokens = asked["latency_budget_ms"], asked["max_tokens"]
        assert (latency_ms is not None and best["latency_ms"] > latency_ms) or (
            tokens is not None and best["prompt_tokens"] > tokens
        )


async def test_an_image_that_passes_beside_others_that_do_not_is_no_fallback(client):
    """The reason says that max_crops is what is left only where it is."""
    rows = (await weigh(client, latency_budget_ms=52))["alternatives"]
    fits = sorted(
        row["image_quality"]["ssim"]
        for row in rows
        if row["mode"] == "fit" and row["within_budget"]
    )
    told = await weigh(client, latency_budget_ms=52, quality_threshold=fits[-1] - 0.001)
    assert fits[0] < fits[-1] - 0.001
    assert told["decision"]["mode"] == "fit"
    assert told["decision"]["reason"].startswith("the best of ")


async def test_below_the_threshold_max_crops_is_the_answer_and_says_so(client):
    """The image comes back untouched, with the value for the inference server."""
    params = {"latency_budget_ms": 52, "quality_threshold": 0.999}
    told = (await weigh(client, **params))["decision"]
    assert (told["mode"], told["max_crops"]) == ("max_crops", 4)
    assert "has an SSIM of 0.999; leave the image alone" in told["reason"]
    answer = await client.post("/adapt", params=params, content=PHOTO, headers=JPEG)
    assert answer.content == PHOTO
    assert answer.headers["x-resize-mode"] == "max_crops"
    assert answer.headers["x-max-crops"] == "4"


async def test_without_that_way_out_the_threshold_is_refused(client):
    """With the best that could be had."""
    answer = await client.post(
        "/adapt?latency_budget_ms=52&quality_threshold=0.999&strategy=resize",
        content=PHOTO,
        headers=JPEG,
    )
    problem = check_problem(answer, 422, "budget-unreachable")
    assert problem["limit"] == 0.999
    assert problem["actual"] == problem["best"]["ssim"] < 0.999
    assert problem["best"]["tiling"] == "2x2"


async def test_a_budget_that_nothing_keeps_is_refused_before_a_pixel_is_decoded(
    client, monkeypatch
):
    """The cheapest and its figures are in the error."""
    monkeypatch.setattr(adapting, "decode", None)
    answer = await client.post("/adapt?latency_budget_ms=5", content=PHOTO, headers=JPEG)
    problem = check_problem(answer, 422, "budget-unreachable")
    assert problem["limit"] == 5
    assert problem["actual"] == problem["best"]["latency_ms"] > 5


async def test_prefill_is_part_of_the_latency_budget(client):
    """A constant and a cost per prompt token, on top of the vision tokens."""
    alone = (await weigh(client, latency_budget_ms=52))["decision"]
    costs = {"prefill_ms_per_token": 0.1, "prefill_base_ms": 3}
    both = await weigh(client, latency_budget_ms=200, **costs)
    by_tiling = {
        (row["mode"], row["max_crops"], row["tiling"]["rows"], row["tiling"]["cols"]): row
        for row in (await weigh(client, latency_budget_ms=52))["alternatives"]
    }
    (row,) = both["alternatives"]
    whole = by_tiling["unchanged", 12, 2, 3]
    assert row["latency_ms"] == pytest.approx(whole["latency_ms"] + 3 + 74.0)
    assert both["budget"]["prefill"] == {"ms_per_token": 0.1, "base_ms": 3}
    tighter = (await weigh(client, latency_budget_ms=52 + 3 + 57, **costs))["decision"]
    assert tighter["prompt_tokens"] < alone["prompt_tokens"]


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("", "invalid-config"),
        ("max_tokens=600&modes=", "invalid-config"),
        ("max_tokens=600&modes=fit,fit", "invalid-config"),
        ("max_tokens=600&modes=fit,auto", "invalid-config"),
        ("max_tokens=600&prefill_base_ms=3", "invalid-config"),
        ("latency_budget_ms=60&prefill_ms_per_token=1e308", "invalid-config"),
        ("latency_budget_ms=inf", "invalid-parameters"),
        ("max_tokens=0", "invalid-parameters"),
        ("latency_budget_ms=-1", "invalid-parameters"),
        ("latency_budget_ms=9&percentile=100", "invalid-parameters"),
        ("max_tokens=600&strategy=good", "invalid-parameters"),
        ("max_token=600", "invalid-parameters"),
        ("latency_budget_ms=60&crop_size_px=448", "latency-unknown"),
        ("latency_budget_ms=60&model=molmo2-8b", "latency-unknown"),
    ],
)
async def test_what_cannot_be_asked_is_refused(client, query, slug):
    """With the parameter, or the reason why no latency is known."""
    answer = await client.post(f"/adapt?{query}", content=PHOTO, headers=JPEG)
    check_problem(answer, 422, slug)


async def test_an_image_answer_says_whose_latency_it_predicts(client):
    """A profile of another device is never used without saying so."""
    answer = await client.post("/adapt?latency_budget_ms=52", content=PHOTO, headers=JPEG)
    assert answer.headers["x-latency-device"] == "fake, float32, eager"
    assert answer.headers["x-latency-this-device"] == "true"


async def test_while_the_profile_grows_a_latency_budget_has_to_wait(serve, fake_encoder):
    """Rather than take what is cheapest of what happens to be measured."""
    fake_encoder.gate.clear()
    async with serve(profile_on_start=True) as client:
        await ready(client)
        answer = await client.post("/adapt?latency_budget_ms=52", content=PHOTO, headers=JPEG)
        tokens = await client.post("/adapt?max_tokens=600", content=PHOTO, headers=JPEG)
        fake_encoder.gate.set()
    problem = check_problem(answer, 503, "encoder-unavailable")
    assert "still being measured" in problem["detail"]
    assert answer.headers["retry-after"]
    assert tokens.status_code == 200


async def test_measuring_qualities_has_a_time_limit(serve):
    """It ends at the deadline, with the limit."""
    async with serve(encoder=False, adapt_timeout_s=1e-9) as client:
        answer = await client.post("/adapt?max_tokens=600", content=PHOTO, headers=JPEG)
    assert check_problem(answer, 504, "deadline-exceeded")["limit"] == 1e-9


async def test_a_token_budget_needs_no_profile(serve):
    """Nor an encoder; latencies are null then."""
    async with serve(encoder=False) as client:
        told = await weigh(client, max_tokens=600)
        assert told["decision"]["prompt_tokens"] <= 600
        assert told["decision"]["latency_ms"] is None
        assert told["profile"] is None


async def test_a_turned_image_comes_back_upright(client):
    """Stored turned, it is written anew even where it keeps the budget."""
    data = image_bytes(427, 640, orientation=6)
    answer = await client.post("/adapt?max_tokens=740", content=data, headers=JPEG)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (640, 427)
        assert not image.getexif()
    assert answer.headers["x-resize-mode"] == "fit"


async def test_a_small_image_is_not_enlarged_to_spend_a_budget(client):
    """Nothing costs less than one crop, and more would show nothing more."""
    data = image_bytes(200, 150)
    told = await weigh(client, data, latency_budget_ms=1000)
    assert told["decision"]["mode"] == "unchanged"
