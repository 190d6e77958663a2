"""Predicted latencies over HTTP: by this device's profile, or by one that is given."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.fakes import fake_profile
from support.http import JPEG, image_bytes, ready

from app.core.errors import InvalidProfile
from app.main import create_app
from app.profiles import save_profile
from app.settings import Settings

pytestmark = pytest.mark.anyio


def profile_file(folder, **conditions) -> Path:
    """A profile of 1 to 7 crops in all, as a file that can be named."""
    made = replace(fake_profile(7), **conditions)
    return save_profile(made, folder)


async def test_a_given_profile_of_another_device_is_never_used_silently(serve, tmp_path):
    """Every answer with a latency says so, in words and in a field; drift does not touch it."""
    given = profile_file(tmp_path, device="Some GPU", device_type="cuda", runtime="cuda-graphs")
    async with serve(profile=given, profile_on_start=True) as client:
        await ready(client)
        for _ in range(3):
            await client.post(
                "/analyze?latency=measure", content=image_bytes(300, 300), headers=JPEG
            )
        plan = (await client.get("/plan?width=300&height=300")).json()["latency"]
        lut = (await client.get("/lut?max_crops=2")).json()
        in_use = (await client.get("/latency")).json()["profile"]
    for latency in (plan, lut["rows"][0]["options"][0]["latency"]):
        assert (latency["device"], latency["vision_ms"]["p50"]) == ("Some GPU", 20.5)
        assert latency["this_device"] is False
        assert latency["drift"] is None
        assert "not this device" in latency["reason"]
    assert (lut["profile"]["this_device"], in_use["this_device"]) == (False, False)
    assert in_use["drift"] == {"ratio": None, "measurements": 0, "factor": None}


async def test_a_given_profile_needs_no_encoder(serve, tmp_path):
    """Planning where the GPU is not: it cannot be compared with anything here, and says so."""
    async with serve(profile=profile_file(tmp_path), encoder=False) as client:
        latency = (await client.get("/plan?width=640&height=480")).json()["latency"]
        assert (await client.get("/readyz")).json()["encoder"]["state"] == "off"
    assert (latency["source"], latency["this_device"]) == ("profile", None)
    assert "no encoder is loaded here" in latency["reason"]


def test_a_given_profile_that_cannot_be_used_stops_the_start(tmp_path):
    with pytest.raises(InvalidProfile, match="cannot read absent"):
        create_app(Settings(profile=tmp_path / "absent.json"))


async def test_the_profile_says_how_far_it_can_be_trusted(serve, fake_encoder, photo_bytes):
    """Its age, its own error, and the drift that live measurements show, which then corrects."""
    fake_encoder.saved = fake_profile(7)
    async with serve() as client:
        await ready(client)
        shown = []
        for _ in range(3):
            await client.post("/analyze?latency=measure", content=photo_bytes, headers=JPEG)
            shown.append((await client.get("/latency")).json()["profile"])
        latency = (await client.get("/plan?width=640&height=427")).json()["latency"]
        plain = (await client.get("/plan?width=300&height=300")).json()["latency"]
    assert [profile["drift"]["measurements"] for profile in shown] == [1, 2, 3]
    ratio = shown[-1]["drift"]["ratio"]
    assert [profile["drift"]["factor"] for profile in shown] == [None, None, ratio]
    assert latency["vision_ms"]["p50"] == pytest.approx(70.0), "what was measured three times"
    assert (latency["drift"], latency["basis"]) == (ratio, "adjusted")
    assert plain["vision_ms"]["p50"] == pytest.approx(20.5 * ratio, abs=1e-3)
    assert shown[-1]["age_s"] > 0
    assert shown[-1]["error"]["method"] == "leave-one-count-out"
    assert shown[-1]["error"]["counts"] == 5
    assert shown[-1]["this_device"] is True
