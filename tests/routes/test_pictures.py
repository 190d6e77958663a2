"""A decoded picture never waits: requests hold bytes until a worker is free."""

import asyncio
import threading

import pytest
from support.http import JPEG, image_bytes

from app.imaging import decode as decoding
from app.serving import service

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("call", ["/resize?target_crops=2", "/analyze?decode=full"])
async def test_no_more_pictures_live_than_workers(serve, monkeypatch, call):
    """Twelve uploads, two workers: at no time are three pictures decoded."""
    lock, alive, most = threading.Lock(), 0, 0

    class Watched(decoding.Picture):
        __slots__ = ("__weakref__",)

        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    def watched(data: bytes, *, max_pixels: int) -> decoding.Picture:
        nonlocal alive, most
        picture = decoding.decode(data, max_pixels=max_pixels)
        with lock:
            alive += 1
            most = max(most, alive)
        return Watched(picture.pixels, picture.icc_profile, picture.facts)

    monkeypatch.setattr(service, "decode", watched)
    data = image_bytes(500, 400)
    async with serve(encoder=False, image_workers=2) as client:
        posts = (client.post(call, content=data, headers=JPEG) for _ in range(12))
        answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= most <= 2
    assert alive == 0
