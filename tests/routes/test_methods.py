"""``GET /plan/methods``: one table, each row of which GET /plan confirms."""

import pytest
from support.http import check_problem, ready

pytestmark = pytest.mark.anyio
URL = "/plan/methods?width=640&height=480"


async def test_it_has_the_names_of_the_contract(serve):
    async with serve() as client:
        body = (await client.get(f"{URL}&target_tokens=600")).json()
    assert body.keys() == {
        "model", "config", "image", "target_crops", "target_tokens", "methods", "rows",
    }  # fmt: skip
    assert (body["target_crops"], body["target_tokens"]) == (None, 600)
    assert [(told["method"], told["needs"]) for told in body["methods"]] == [
        ("max_crops", "processor"),
        ("resize", "image"),
        ("overlap_margins", "processor"),
        ("crop_size_px", "model"),
    ]
    for row in body["rows"]:
        assert row.keys() == {
            "method", "setting", "current", "best", "needs", "as_trained", "tiling", "tokens",
            "prompt_tokens_ratio", "gflop", "gflop_ratio", "overlap_ratio", "scale_x", "scale_y",
            "latency", "parameters",
        }  # fmt: skip
    best = [(row["method"], row["setting"]) for row in body["rows"] if row["best"]]
    assert best == [
        ("max_crops", "4"), ("resize", "560x420"), ("overlap_margins", "8,10"),
        ("crop_size_px", "224"),
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["molmo-7b-d-0924", "molmo2-8b"])
async def test_the_parameters_of_a_row_give_its_plan(serve, model):
    async with serve() as client:
        await ready(client)  # both answers must know the same of the encoder
        rows = (await client.get(f"{URL}&model={model}")).json()["rows"]
        for row in rows:
            plan = (await client.get("/plan", params=row["parameters"])).json()
            assert plan["model"] == model
            for same in ("tiling", "tokens", "latency"):
                assert plan[same] == row[same]
            assert plan["overlap"]["overlap_ratio"] == row["overlap_ratio"]


async def test_latency_is_given_where_it_was_measured(serve, fake_encoder):
    """By the profile, for the plans that it is of; another crop side has none, and says why."""
    async with serve(profile_on_start=True) as client:
        await ready(client, profile="complete")
        rows = (await client.get(URL)).json()["rows"]
    for row in rows:
        known = row["latency"]["vision_ms"]
        measured = row["method"] in ("max_crops", "resize") and row["tiling"]["total_crops"] <= 3
        assert (known is not None) == measured, row["setting"]
    [native] = {row["latency"]["reason"] for row in rows if row["setting"] == "448"}
    assert native == "the profile is of 336 px crops, not 448"


async def test_the_summaries_are_of_the_family(serve):
    """What its weights were trained with."""
    async with serve() as client:
        told = (await client.get(f"{URL}&model=molmo2-4b")).json()["methods"]
    assert "trained with up to 8" in told[0]["summary"]
    assert "27x27 patches" in told[3]["summary"]


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("target_crops=4&target_tokens=600", "invalid-config"),
        ("target_crops=0", "invalid-parameters"),
        ("target=4", "invalid-parameters"),
        ("crop_size_px=15", "invalid-config"),
    ],
)
async def test_what_cannot_be_compared_is_refused(serve, query, slug):
    async with serve() as client:
        check_problem(await client.get(f"{URL}&{query}"), 422, slug)


async def test_an_image_too_narrow_is_refused(serve):
    async with serve() as client:
        answer = await client.get("/plan/methods?width=1&height=4000")
    check_problem(answer, 422, "collapsed-image")
