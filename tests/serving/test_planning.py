"""Planning that takes long waits for one thread, and only so much of it."""

import asyncio
import sys
import threading

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.core.control.fitting import fitting_sizes
from app.core.control.table import lookup_table
from app.core.errors import CollapsedImage, InvalidConfig, QueueFull
from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.core.plan.tiling import select_tiling
from app.schemas.plan import PlanAnswer
from app.serving.admission import BRIEF_SIZES, Planning, is_brief

pytestmark = pytest.mark.anyio
FAMILY, MOLMO2 = FAMILIES["molmo-7b-d-0924"], FAMILIES["molmo2-8b"]
NEARLY_4_TO_3 = Size(16_384, 12_293)


async def test_long_work_is_done_in_turn_and_brief_work_does_not_wait_for_it():
    planning, gate, threads = Planning(queue_limit=2), threading.Event(), []

    def work() -> int:
        gate.wait(10)
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
        ({}, Size(3000, 10), False),
        ({"family": MOLMO2, "max_crops": 12, "overlap_margins": (1, 0)}, NEARLY_4_TO_3, False),
        ({}, NEARLY_4_TO_3, True),
    ],
)
async def test_what_may_look_at_very_many_sizes_is_not_brief(overrides, size, brief):
    assert is_brief(make_config(**{"family": FAMILY, **overrides}), size) == brief


def tilings_of(work) -> int:
    """How often the tiling of a size is looked up, which is what planning spends its time on."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call" and frame.f_code is select_tiling.__code__

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@st.composite
def any_config(draw) -> CropConfig:
    """Of up to 13 crops, with any margins."""
    try:
        return make_config(
            FAMILIES[draw(st.sampled_from(["molmo-7b-d-0924", "molmo2-8b"]))],
            max_crops=draw(st.integers(1, 13)),
            overlap_margins=draw(st.tuples(st.integers(0, 6), st.integers(0, 6))),
            crop_size_px=draw(st.sampled_from([None, None, 14, 112, 4088])),
        )
    except InvalidConfig:
        assume(False)
        raise


@st.composite
def dear_sizes(draw) -> Size:
    """Large ones, whose aspect is nearly that of a grid."""
    long_px = draw(st.integers(1, 20_000))
    rows, cols, off = draw(st.integers(1, 13)), draw(st.integers(1, 13)), draw(st.integers(-9, 9))
    return Size(long_px, max(1, long_px * min(rows, cols) // max(rows, cols) + off))


@settings(max_examples=150)
@given(any_config(), dear_sizes())
@example(make_config(MOLMO2, max_crops=12, overlap_margins=(1, 0)), NEARLY_4_TO_3)
@example(make_config(FAMILY), NEARLY_4_TO_3)
def test_what_is_called_brief_is_little_work(config, size):
    """Plans and tables: the sizes of the search, and some hundred for the headroom."""
    assume(is_brief(config, size))
    fitting_sizes.cache_clear()
    try:
        plan = make_plan(size, config)
    except CollapsedImage:
        assume(False)
    assert tilings_of(lambda: PlanAnswer.of(plan, Latency("none", ""))) <= BRIEF_SIZES + 1000
    assert tilings_of(lambda: lookup_table(config, aspect=size)) <= BRIEF_SIZES
    fitting_sizes.cache_clear()
    assert tilings_of(lambda: lookup_table(config, image=size)) <= BRIEF_SIZES


@pytest.mark.parametrize("size", [Size(640, 480), Size(4032, 3024), Size(6000, 4000), Size(80, 60)])
@pytest.mark.parametrize("name", FAMILIES)
def test_plans_of_photos_are_brief_for_every_family(name, size):
    """They are made on the event loop, and most requests are for them."""
    assert is_brief(make_config(FAMILIES[name]), size)
    assert is_brief(make_config(FAMILIES[name]), Size(size.height, size.width))
