"""Admission: so many uploads in the house, so many pictures decoded, whatever arrives."""

import asyncio
import threading

import pytest

from app.core.errors import QueueFull
from app.serving.admission import ImageWorkers

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


async def test_drawings_take_turns_and_keep_no_worker_waiting():
    """One at a time, while what else arrives finds the other worker free."""
    images = ImageWorkers(workers=2, queue_limit=20)
    begun, gate, drawing = threading.Event(), threading.Event(), 0

    def draw() -> None:
        nonlocal drawing
        drawing += 1
        begun.set()
        gate.wait(60)

    async def picture() -> None:
        async with images.admit_drawing():
            await images.draw(draw)

    waiting = [asyncio.create_task(picture()) for _ in range(8)]
    assert await asyncio.to_thread(begun.wait, 10)
    async with images.admit():
        assert await images.run(lambda: "done") == "done"
    assert drawing == 1
    gate.set()
    await asyncio.gather(*waiting)
    assert drawing == 8
    assert images.places.taken == 0


async def test_drawings_hold_half_of_the_places():
    """However many are asked for, as many uploads of other kinds are admitted."""
    images = ImageWorkers(workers=1, queue_limit=3)
    async with images.admit_drawing(), images.admit_drawing():
        with pytest.raises(QueueFull) as refused:
            async with images.admit_drawing():
                pass
        assert (refused.value.facts["limit"], refused.value.facts["actual"]) == (2, 2)
        async with images.admit(), images.admit():
            assert images.places.taken == 4
    assert images.places.taken == 0
    async with images.admit_drawing():
        pass


async def test_a_drawing_that_fails_gives_its_turn_back():
    """And its place."""
    images = ImageWorkers(workers=1, queue_limit=0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with images.admit_drawing():
                await images.draw(lambda: 1 / 0)
    assert images.places.taken == 0
