"""A decoded picture never waits: requests hold bytes until a worker is free."""

import asyncio
import threading
import weakref

import pytest
from support.http import JPEG, image_bytes

from app.imaging import adapt, pictures
from app.imaging.write import render
from app.serving import service

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("call", "module", "name"),
    [
        ("/resize?target_crops=2", render, "load_raster"),
        ("/analyze?decode=full", service, "decode"),
        ("/adapt?max_tokens=400", adapt, "decode"),
        ("/overlay?side_px=300", pictures, "load_raster"),
    ],
)
async def test_no_more_pictures_live_than_workers(serve, monkeypatch, call, module, name):
    """Twelve uploads, two workers: at no time are three pictures decoded."""
    lock, alive, most = threading.Lock(), 0, 0
    decoded = getattr(module, name)

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def watched(*arguments, **options):
        nonlocal alive, most
        picture = decoded(*arguments, **options)
        weakref.finalize(getattr(picture, "image", None) or picture.pixels, gone)
        with lock:
            alive += 1
            most = max(most, alive)
        return picture

    monkeypatch.setattr(module, name, watched)
    data = image_bytes(500, 400)
    async with serve(encoder=False, image_workers=2) as client:
        posts = (client.post(call, content=data, headers=JPEG) for _ in range(12))
        answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= most <= 2
    assert alive == 0
