"""Admission: so many uploads in the house, so many pictures decoded, whatever arrives."""

import asyncio
import threading

import pytest

from app.core.errors import QueueFull
from app.serving.images import ImageWorkers

pytestmark = pytest.mark.anyio


async def test_no_more_pictures_are_in_work_than_there_are_workers():
    images = ImageWorkers(workers=2, queue_limit=20)
    lock, alive, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        threading.Event().wait(0.01)
        with lock:
            alive -= 1

    async def upload() -> None:
        async with images.admit():
            await images.run(work)

    await asyncio.gather(*(upload() for _ in range(12)))
    assert most == 2


async def test_a_place_is_given_back_whatever_happens():
    images = ImageWorkers(workers=1, queue_limit=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with images.admit():
                await images.run(lambda: 1 / 0)
    async with images.admit():
        with pytest.raises(QueueFull):
            async with images.admit():
                pass
