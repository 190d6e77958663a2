"""``POST /analyze`` from the header, and when it decodes."""

import pytest
from PIL import Image
from support.http import JPEG, ready
from support.images import file_of

pytestmark = pytest.mark.anyio


async def test_decoding_in_full_is_asked_for_or_needed_to_measure(serve, photo_bytes):
    """And then its time is told; the facts are the same either way."""
    async with serve() as client:
        await ready(client)
        images = []
        for query in ["decode=full", "decode=header&latency=measure", "decode=header"]:
            answer = await client.post(f"/analyze?{query}", content=photo_bytes, headers=JPEG)
            images.append(answer.json()["image"])
            spent_ms = answer.json()["latency"]["stages_ms"]["decode"]
            assert (spent_ms is None) == (query == "decode=header")
    assert images[0] == images[1] == images[2]


async def test_damage_inside_the_pixels_is_found_by_decoding_only(serve):
    """A PNG that is whole by its chunks, of which not one pixel can be decoded."""
    data = bytearray(file_of(Image.effect_noise((64, 48), 60), "PNG"))
    data[data.index(b"IDAT") + 4] ^= 0xFF
    async with serve() as client:
        plan = await client.post("/analyze", content=bytes(data), headers=JPEG)
        refused = await client.post("/analyze?decode=full", content=bytes(data), headers=JPEG)
    assert plan.status_code == 200
    assert refused.status_code == 422
    assert refused.json()["type"].endswith("undecodable-image")


@pytest.mark.parametrize("size", [(900, 600), (2000, 1500)])
async def test_every_format_is_planned_from_its_header_at_any_size(serve, size):
    """On the event loop, or in a worker where that could take long."""
    async with serve() as client:
        for form in ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]:
            data = file_of(Image.effect_noise(size, 60).convert("RGB"), form)
            answer = await client.post("/analyze", content=data, headers=JPEG)
            image = answer.json()["image"]
            assert (image["width"], image["height"], image["format"]) == (*size, form.lower())


async def test_bytes_without_a_type_of_their_own_are_an_image_too(serve, photo_bytes):
    """Generated clients send ``application/octet-stream``."""
    async with serve(encoder=False) as client:
        sent = [
            await client.post("/analyze", content=photo_bytes, headers={"content-type": kind})
            for kind in ("image/jpeg", "application/octet-stream")
        ]
    assert sent[0].status_code == 200
    assert sent[0].content == sent[1].content
