"""Planning that takes long waits for one thread, and only so much of it."""

import asyncio
import threading

import pytest

from app.core.errors import QueueFull
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.serving.admission import Planning, is_brief

pytestmark = pytest.mark.anyio
FAMILY = FAMILIES["molmo-7b-d-0924"]


async def test_long_work_is_done_in_turn_and_brief_work_does_not_wait_for_it():
    planning, gate, threads = Planning(queue_limit=2), threading.Event(), []

    def work() -> int:
        gate.wait(60)
        threads.append(threading.current_thread())
        return len(threads)

    waiting = [asyncio.create_task(planning.run(work, brief=False)) for _ in range(3)]
    await asyncio.sleep(0)
    assert await planning.run(threading.current_thread, brief=True) is threading.current_thread()
    with pytest.raises(QueueFull) as refused:
        await planning.run(work, brief=False)
    assert refused.value.facts["limit"] == 3
    gate.set()
    assert sorted(await asyncio.gather(*waiting)) == [1, 2, 3]
    assert threading.current_thread() not in threads
    assert await planning.run(work, brief=False) == 4  # a place is free again


async def test_a_place_is_free_again_after_a_failure():
    planning = Planning(queue_limit=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await planning.run(lambda: 1 // 0, brief=False)


@pytest.mark.parametrize(
    ("overrides", "size", "brief"),
    [
        ({}, Size(640, 480), True),
        ({}, None, True),
        ({"max_crops": 13}, Size(640, 480), False),
        ({"overlap_margins": (0, 0)}, Size(640, 480), False),
        ({"overlap_margins": (0, 0)}, None, True),
        ({}, Size(16_384, 12_293), True),
    ],
)
async def test_what_may_look_at_very_many_sizes_is_not_brief(overrides, size, brief):
    assert is_brief(make_config(**{"family": FAMILY, **overrides}), size) == brief


@pytest.mark.parametrize("size", [Size(640, 480), Size(4032, 3024), Size(6000, 4000), Size(80, 60)])
@pytest.mark.parametrize("name", FAMILIES)
def test_plans_of_photos_are_brief_for_every_family(name, size):
    """They are made on the event loop, and most requests are for them."""
    assert is_brief(make_config(FAMILIES[name]), size)
    assert is_brief(make_config(FAMILIES[name]), Size(size.height, size.width))
