"""From an upload to its tokens: every wait is told, and the deadline counts from the upload."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from support.fakes import FakeEncoder, fake_profile
from support.waiting import until

from app.core.errors import DeadlineExceeded, QueueFull
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Size
from app.serving.encode.encoding import Encoding
from app.serving.latency.encoder_service import EncoderService

pytestmark = pytest.mark.anyio
CONFIG = make_config(family_named(DEFAULT_FAMILY))
PICTURE = SimpleNamespace(size=Size(300, 300))
"""Two crops in all."""


class Clock:
    """Seconds that pass when they are told to."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("app.serving.encode.encoding.time", clock)
    monkeypatch.setattr("app.serving.encode.batcher.time", clock)
    return clock


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder(saved=fake_profile(3))


@pytest.fixture
def encoding(encoder, worker) -> Encoding:
    # The service starts the worker itself, so the one here only gathers what it is given.
    service = EncoderService(lambda: encoder, profile_on_start=False, worker=worker)
    service._background.start()
    until(lambda: service.status().state == "ready")
    return Encoding(service, worker, batch_crops=None, queue_crops=5, timeout_s=60)


async def test_the_wait_for_a_thread_is_queue_time(encoding, encoder, clock, monkeypatch):
    """Every stage is timed by itself, and nothing is counted twice or left out."""
    stage = encoder.stage

    def load():
        clock.now_s += 3
        return PICTURE

    def slow_stage(picture, plan):
        clock.now_s += 4
        return stage(picture, plan)

    monkeypatch.setattr(encoder, "stage", slow_stage)
    staged = encoding.stage(load, CONFIG, arrived_s=clock.now_s - 2)
    assert (staged.wait_ms, staged.decode_ms, staged.preprocess_ms) == (2000, 3000, 4000)
    encoded = await encoding.encode(staged)
    assert (encoded.queue_ms, encoded.decode_ms, encoded.preprocess_ms) == (2000, 3000, 4000)
    assert encoded.pass_crops == staged.plan.total_crops == 2


async def test_the_deadline_counts_from_the_upload(encoding, clock):
    """Also what waited for a thread beyond it is not encoded any more."""
    in_time = encoding.stage(lambda: PICTURE, CONFIG, arrived_s=clock.now_s - 59)
    assert in_time.deadline_s == clock.now_s + 1
    late = encoding.stage(lambda: PICTURE, CONFIG, arrived_s=clock.now_s - 60)
    with pytest.raises(DeadlineExceeded) as caught:
        await encoding.encode(late)
    assert caught.value.facts["limit"] == 60


async def test_crops_without_room_are_refused_before_they_are_prepared(encoding, encoder, worker):
    encoder.gate.clear()
    held = encoding._batcher.submit(encoder.stage(PICTURE, SimpleNamespace(
        total_crops=4, image=PICTURE.size, tokens=SimpleNamespace(patch=1)
    )))  # fmt: skip
    encoder.stage_failure = AssertionError("prepared all the same")
    with pytest.raises(QueueFull):
        encoding.stage(lambda: PICTURE, CONFIG, arrived_s=0)
    encoder.gate.set()
    held.result(60)  # torch is imported for its tokens


async def test_passes_are_as_large_as_the_profile_says(encoding, encoder):
    """Of 10.5, 20.5 and 30.5 ms for 1, 2 and 3 crops, one crop has nearly the best rate."""
    assert encoding._limit_crops() == 1


async def test_a_limit_that_was_set_counts_whatever_the_profile_says(encoding, encoder, worker):
    """Also a larger one."""
    asked = Encoding(encoding._encoder, worker, batch_crops=3, queue_crops=5, timeout_s=60)
    assert (encoding._limit_crops(), asked._limit_crops()) == (1, 3)
