"""The HTTP contract: every call, its names, its refusals."""

import io
import json

import pytest
from PIL import Image
from support.http import JPEG, check_problem, image_bytes, ready

from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan

pytestmark = pytest.mark.anyio
MOLMO1 = make_config(FAMILIES["molmo-7b-d-0924"])


async def test_plan_has_the_names_of_the_contract(serve):
    """Every name that clients are written against, with 640×480's known values."""
    async with serve() as client:
        plan = (await client.get("/plan?width=640&height=480")).json()
    assert plan["model"] == "molmo-7b-d-0924"
    assert plan["config"] == {
        "max_crops": 12, "overlap_margins": [4, 4], "crop_size_px": 336,
        "patch_size_px": 14, "window_px": 224, "margin_px": 112,
    }  # fmt: skip
    assert plan["tiling"] == {"rows": 2, "cols": 3, "crops": 6, "total_crops": 7}
    assert {"width", "height", "scaled_width", "scaled_height", "pad_left", "pad_top",
            "scale_x", "scale_y"} == plan["canvas"].keys()  # fmt: skip
    assert {"index", "row", "col", "canvas_box", "image_box", "padding_ratio"} == plan["crops"][
        0
    ].keys()
    assert plan["tokens"] == {
        "patch": 704, "column": 32, "start": 2, "end": 2, "prompt": 740, "computed": 1008,
    }  # fmt: skip
    statistics = {"total_patches", "distinct_patches", "overlapped_patches", "overlap_ratio",
                  "redundancy_ratio", "average_overlap_count", "average_overlapped_count",
                  "max_overlap_count"}  # fmt: skip
    assert plan["overlap"].keys() == statistics | {"content", "encoder_redundancy"}
    assert plan["overlap"]["content"].keys() == statistics
    assert plan["headroom"].keys() == {"width", "height"}
    assert plan["headroom"]["width"].keys() == {"down", "up"}
    assert plan["control"]["candidates"][0].keys() == {"rows", "cols", "required_scale", "selected"}
    assert plan["control"]["max_crops"][0].keys() == {"max_crops", "tiling", "tokens"}
    assert plan["control"]["sizes"][0].keys() == {
        "crops", "rows", "cols", "width", "height", "reached_by",
    }  # fmt: skip
    assert plan["latency"].keys() == {
        "source", "reason", "basis", "this_device", "drift", "device", "dtype", "runtime",
        "weights", "vision_ms", "per_token_us", "stages_ms",
    }  # fmt: skip
    assert plan["latency"]["stages_ms"].keys() == {
        "decode", "preprocess", "queue", "transfer", "vit", "connector",
    }  # fmt: skip


async def test_overrides_come_back(serve):
    async with serve() as client:
        plan = await client.get(
            "/plan?width=900&height=600&model=molmo2-4b&max_crops=24&overlap_margins=2,2&crop_size_px=448"
        )
    assert plan.json()["model"] == "molmo2-4b"
    assert plan.json()["config"]["overlap_margins"] == [2, 2]
    assert plan.json()["config"]["crop_size_px"] == 448


@pytest.mark.parametrize("as_form", [True, False])
async def test_analyze_takes_forms_and_raw_bodies(serve, photo_bytes, as_form):
    """And says what was uploaded."""
    async with serve() as client:
        if as_form:
            answer = await client.post("/analyze", files={"image": photo_bytes})
        else:
            answer = await client.post("/analyze", content=photo_bytes, headers=JPEG)
    body = answer.json()
    assert answer.status_code == 200
    assert body["tiling"]["crops"] == 6
    assert body["image"] == {
        "width": 640, "height": 427, "format": "jpeg", "bytes": 112525, "orientation": 1,
        "sha256": body["image"]["sha256"], "notes": [],
    }  # fmt: skip
    assert body["latency"]["stages_ms"]["decode"] is None


async def test_a_rotated_photo_is_planned_upright(serve):
    async with serve() as client:
        answer = await client.post(
            "/analyze", content=image_bytes(900, 500, orientation=6), headers=JPEG
        )
    image = answer.json()["image"]
    assert (image["width"], image["height"], image["orientation"]) == (500, 900, 6)


async def test_measured_latency_is_of_this_image(serve, photo_bytes, fake_encoder):
    """So many passes after one of warm-up, and it says so."""
    async with serve() as client:
        await ready(client)
        answer = await client.post(
            "/analyze?latency=measure&repeats=4", content=photo_bytes, headers=JPEG
        )
    latency = answer.json()["latency"]
    assert fake_encoder.passes == 5
    assert latency["source"] == "measured"
    assert latency["weights"] == "random"
    assert latency["vision_ms"] == {"p50": 70.0, "p95": 70.0, "samples": 4}
    assert latency["per_token_us"] == round(70_000 / 704, 3)
    assert latency["stages_ms"]["vit"] == 9.0
    assert latency["stages_ms"]["queue"] >= 0


@pytest.mark.parametrize("transfer_ms", [None, 1.25])
async def test_a_measurement_tells_the_copy_over_the_bus(
    serve, fake_encoder, photo_bytes, transfer_ms
):
    """As the encoder timed it, and null where there is no bus."""
    fake_encoder.transfer_ms = transfer_ms
    async with serve() as client:
        await ready(client)
        answer = await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
    stages = answer.json()["latency"]["stages_ms"]
    assert stages["transfer"] == transfer_ms
    assert stages["preprocess"] >= 0


async def test_latency_can_be_left_out(serve, photo_bytes):
    async with serve() as client:
        answer = await client.post("/analyze?latency=none", content=photo_bytes, headers=JPEG)
    assert answer.json()["latency"]["source"] == "none"


@pytest.mark.parametrize(
    ("width", "height", "orientation"),
    [(1200, 800, None), (800, 1200, None), (700, 700, None), (1600, 300, None), (900, 1200, 6)],
)
@pytest.mark.parametrize("mode", ["auto", "pad", "crop", "stretch"])
async def test_the_resized_image_really_gives_the_target(serve, width, height, orientation, mode):
    """Landscape, portrait, square, panorama, rotated: analysing the result says 4."""
    async with serve() as client:
        resized = await client.post(
            f"/resize?target_crops=4&mode={mode}",
            content=image_bytes(width, height, orientation=orientation),
            headers=JPEG,
        )
        assert resized.status_code == 200, resized.text
        plan = (await client.post("/analyze", content=resized.content, headers=JPEG)).json()
    assert plan["tiling"]["crops"] == 4
    assert plan["image"]["orientation"] == 1
    headers = resized.headers
    assert headers["x-crops"] == "4"
    assert headers["x-total-crops"] == "5"
    assert headers["x-tiling"] == f"{plan['tiling']['rows']}x{plan['tiling']['cols']}"
    assert headers["x-prompt-tokens"] == str(plan["tokens"]["prompt"])
    assert headers["x-image-width"] == str(plan["image"]["width"])
    assert headers["x-image-height"] == str(plan["image"]["height"])
    assert headers["content-type"] == "image/jpeg"


async def test_bytes_that_meet_the_target_come_back_unchanged(serve, photo_bytes):
    """But not where another format, a quality or an upright image is due."""
    turned = image_bytes(480, 640, orientation=6)
    async with serve() as client:

        async def resize(query: str, data: bytes):
            return await client.post(f"/resize?{query}", content=data, headers=JPEG)

        same = await resize("target_crops=6", photo_bytes)
        assert (same.content, same.headers["x-resize-mode"]) == (photo_bytes, "unchanged")
        as_png = await resize("target_crops=6&format=png", photo_bytes)
        assert as_png.headers["content-type"] == "image/png"
        upright = await resize("target_crops=6", turned)
    assert upright.headers["x-resize-mode"] == "fit"
    with Image.open(io.BytesIO(upright.content)) as image:
        assert image.size == (640, 480)
        assert not image.getexif()


async def test_resize_to_a_token_budget(serve, photo_bytes):
    async with serve() as client:
        answer = await client.post("/resize?target_tokens=739", content=photo_bytes, headers=JPEG)
    assert int(answer.headers["x-prompt-tokens"]) <= 739
    assert answer.headers["x-crops"] == "4"


async def test_resize_decision_without_pixels(serve, photo_bytes):
    """With Accept: application/json, and other ways to the same count."""
    async with serve() as client:
        answer = await client.post(
            "/resize?target_crops=4",
            content=photo_bytes,
            headers={**JPEG, "accept": "application/json"},
        )
    body = answer.json()
    assert body.keys() == {"decision", "plan", "alternatives"}
    assert body["decision"].keys() == {
        "mode", "tiling", "width", "height", "scale_x", "scale_y", "upscaled", "quality",
    }  # fmt: skip
    assert body["decision"]["quality"] == 95
    assert body["plan"]["tiling"]["crops"] == 4
    assert {option["mode"] for option in body["alternatives"]} == {"pad", "crop", "stretch"}


async def test_unreachable_targets_list_what_is_reachable(serve):
    """A square cannot be 5 crops with its aspect kept; the answer says what can, and how."""
    async with serve() as client:
        answer = await client.post(
            "/resize?target_crops=5&mode=fit", content=image_bytes(700, 700), headers=JPEG
        )
    body = check_problem(answer, 422, "unreachable-target")
    fits = [option["crops"] for option in body["reachable"] if "fit" in option["modes"]]
    assert fits == [1, 4, 9]
    assert {"crops": 5, "tiling": "1x5", "prompt_tokens": 700,
            "modes": ["pad", "crop", "stretch"]} in body["reachable"]  # fmt: skip


async def test_results_above_the_pixel_limit_are_refused(serve):
    async with serve(max_pixels=500_000) as client:
        answer = await client.post(
            "/resize?target_crops=12", content=image_bytes(600, 600), headers=JPEG
        )
    body = check_problem(answer, 422, "too-many-pixels")
    assert (body["limit"], body["actual"]) == (500_000, 1008 * 784)


async def test_lut(serve):
    """Every count up to max_crops, and sizes that give what they promise."""
    async with serve() as client:
        answer = await client.get("/lut?max_crops=12&aspect=4:3")
    body = answer.json()
    assert body.keys() == {"model", "config", "profile", "rows"}
    assert [row["target_crops"] for row in body["rows"]] == list(range(1, 13))
    for row in body["rows"]:
        for option in row["options"]:
            assert option.keys() == {
                "rows", "cols", "width", "height", "tokens", "overlap_ratio",
                "redundancy_ratio", "latency", "fit",
            }  # fmt: skip
            sizes = [option] + ([option["fit"]] if option["fit"] else [])
            for size in sizes:
                grid = make_plan(Size(size["width"], size["height"]), MOLMO1).grid
                assert (grid.rows, grid.cols) == (option["rows"], option["cols"])
    best = body["rows"][5]["options"][body["rows"][5]["best"]]
    assert (best["rows"], best["cols"]) == (2, 3)


async def test_lut_is_cacheable(serve):
    async with serve() as client:
        await ready(client)
        first = await client.get("/lut")
        etag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        again = await client.get("/lut", headers={"if-none-match": f'"other", W/{etag}'})
        assert (again.status_code, again.content) == (304, b"")
        other = await client.get("/lut?max_crops=4", headers={"if-none-match": etag})
        assert other.status_code == 200


@pytest.mark.parametrize(
    "query", ["width=640", "width=640&height=480&aspect=4:3", "aspect=0:1", "aspect=wide"]
)
async def test_lut_refuses_half_a_size_and_no_aspect(serve, query):
    async with serve() as client:
        assert (await client.get(f"/lut?{query}")).status_code == 422


async def test_latency_and_models(serve):
    async with serve(profile_on_start=True) as client:
        for _ in range(500):
            body = (await client.get("/latency")).json()
            if body["encoder"]["profile"] == "complete":
                break
        assert [entry["total_crops"] for entry in body["profile"]["entries"]] == [1, 2, 3]
        assert body["profile"]["device"] == "fake"
        small = (await client.get("/plan?width=300&height=300")).json()["latency"]
        assert (small["source"], small["vision_ms"]["p50"]) == ("profile", 20.5)
        models = (await client.get("/models")).json()["models"]
    assert [model["name"] for model in models] == list(FAMILIES)
    assert [model["name"] for model in models if model["default"]] == ["molmo-7b-d-0924"]


async def test_page_and_documentation_need_no_network(serve):
    """The page links the documentation, and nothing it needs lies elsewhere."""
    async with serve() as client:
        page = (await client.get("/")).text
        docs = (await client.get("/docs")).text
        spec = (await client.get("/openapi.json")).json()
    assert 'href="docs"' in page
    for text in (page, docs):
        assert "https://" not in text
        assert "//cdn" not in text
    assert {
        "/plan",
        "/plan/methods",
        "/overlay",
        "/adapt",
        "/analyze",
        "/resize",
        "/lut",
        "/encode",
        "/latency",
        "/latency/measure",
        "/latency/measure/{measurement_id}",
        "/models",
        "/healthz",
        "/readyz",
    } == (spec["paths"].keys())
    assert "image/*" in json.dumps(spec["paths"]["/analyze"]["post"]["requestBody"])
