"""The encoder service: loaded and profiled behind the answers, honest about where it is."""

import asyncio
import threading
from math import inf
from types import SimpleNamespace

import pytest
from support.fakes import FakeEncoder, fake_profile
from support.waiting import until

from app.core.errors import CheckpointError, DeviceLost
from app.core.plan.config import make_config
from app.core.plan.families import FAMILIES
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.serving.device.worker import DeviceWorker
from app.serving.latency.encoder_service import EncoderService, run_passes

PLAN = make_plan(Size(640, 480), make_config(FAMILIES["molmo-7b-d-0924"]))
SMALL = make_plan(Size(300, 300), make_config(FAMILIES["molmo-7b-d-0924"]))


def started(load, *, profile_on_start=True) -> EncoderService:
    worker = DeviceWorker(queue_limit=2, stall_s=5)
    service = EncoderService(load, profile_on_start=profile_on_start, worker=worker)
    service.start()
    return service


def test_a_profile_grows_in_the_background_and_answers_as_it_does():
    """Smallest counts first; what is not measured yet is not made up."""
    encoder = FakeEncoder()
    service = started(lambda: encoder)
    until(lambda: service.status().profile == "complete")
    assert service.status().profiled == service.status().to_profile == 3
    small = service.from_profile(SMALL)
    assert (small.source, small.vision.vision_ms.p50) == ("profile", 20.5)
    large = service.from_profile(PLAN)
    assert (large.source, large.vision) == ("none", None)
    assert "7 crops" in large.reason
    service.stop()


def test_an_encoder_that_is_not_the_one_hoped_for_says_why_while_it_is_ready():
    """As the reason beside its state, which /readyz shows."""
    encoder = FakeEncoder(saved=fake_profile(3))
    encoder.note = "it computes in float32"
    service = started(lambda: encoder)
    until(lambda: service.status().state == "ready")
    assert service.status().reason == "it computes in float32"
    service.stop()


def test_a_saved_profile_is_used_without_measuring():
    encoder = FakeEncoder(saved=fake_profile(3))
    service = started(lambda: encoder)
    until(lambda: service.status().profile == "complete")
    assert encoder.passes == 0
    service.stop()


def test_a_partial_profile_is_taken_up_again():
    encoder = FakeEncoder(saved=fake_profile(2, complete=False))
    service = started(lambda: encoder)
    until(lambda: service.status().profile == "complete")
    assert len(service.predictions().profile.entries) == 3
    service.stop()


def test_an_encoder_that_cannot_be_loaded_says_why():
    def load():
        raise CheckpointError("no tensor wq")

    service = started(load)
    until(lambda: service.status().state == "failed")
    assert service.status().reason == "no tensor wq"
    assert "no tensor wq" in service.from_profile(PLAN).reason
    service.stop()


def test_reasons_for_having_no_latency():
    encoder = FakeEncoder()
    encoder.gate.clear()
    service = started(lambda: encoder)
    until(lambda: service.status().profile == "measuring")
    assert service.from_profile(PLAN).reason == "the profile is being measured"
    encoder.gate.set()
    until(lambda: service.status().profile == "complete")
    for config, reason in [
        (make_config(FAMILIES["molmo2-8b"]), "molmo-7b-d-0924, not molmo2-8b"),
        (make_config(FAMILIES["molmo-7b-d-0924"], crop_size_px=448), "336 px crops"),
    ]:
        latency = service.from_profile(make_plan(Size(300, 300), config))
        assert latency.source == "none"
        assert reason in latency.reason
    service.stop()
    off = EncoderService(None, profile_on_start=True, worker=DeviceWorker(queue_limit=1, stall_s=1))
    off.start()
    assert off.status().state == "off"
    assert "without an encoder" in off.from_profile(PLAN).reason


def test_the_warm_up_is_not_part_of_a_measured_latency():
    """Passes of 90, 1, 2 and 3 ms: the first is slow, as the first one is, and is not counted."""
    times = iter([90.0, 1.0, 2.0, 3.0])
    ran: list[str] = []
    encoder = FakeEncoder()
    encoder.prepare = lambda picture, plan: (
        lambda: SimpleNamespace(vision_ms=next(times), vit_ms=0.5, connector_ms=0.5),
        0.25,
    )
    latency, spent = run_passes(
        encoder,
        lambda: None,
        SMALL,
        repeats=3,
        deadline=inf,
        queue_ms=7,
        before_pass=lambda: ran.append("pass"),
    )
    assert (latency.source, latency.vision.vision_ms.samples) == ("measured", 3)
    assert (latency.at(0), latency.at(50)) == (1, 2)
    assert (spent.queue_ms, spent.transfer_ms) == (7, 0.25)
    assert len(ran) == 4


async def measure(service: EncoderService, plan) -> None:
    picture = SimpleNamespace(size=plan.image)
    await service.measure(lambda: picture, plan, repeats=1, timeout_s=5)


@pytest.mark.anyio
async def test_who_has_gone_is_not_measured_further():
    """The pass under way is the last, and the worker is free for others."""
    encoder = FakeEncoder(saved=fake_profile(3))
    service = started(lambda: encoder)
    until(lambda: service.status().profile == "complete")
    encoder.gate.clear()
    picture = SimpleNamespace(size=SMALL.image)
    leaving = asyncio.create_task(service.measure(lambda: picture, SMALL, repeats=5, timeout_s=60))
    await asyncio.to_thread(encoder.started.wait, 10)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    encoder.gate.set()
    await measure(service, SMALL)
    assert encoder.passes == 1 + 2, "one of those who left, and a warm-up and a pass of the next"
    service.stop()


def test_a_lost_device_is_the_reason_whatever_was_told_before():
    """As what /readyz shows is what keeps the service from working now."""
    encoder = FakeEncoder(saved=fake_profile(3))
    encoder.note = "it computes in float32"
    service = started(lambda: encoder)
    until(lambda: service.status().state == "ready")
    service._worker.end(DeviceLost("an illegal memory access"))
    until(lambda: service.status().worker == "dead")
    assert service.status().reason == "an illegal memory access"


def test_a_given_profile_is_there_from_the_start():
    """While the encoder loads; the device's own is still to come."""
    gate = threading.Event()

    def load() -> FakeEncoder:
        gate.wait(60)
        return FakeEncoder(saved=fake_profile(3))

    for given, coming in ((None, True), (fake_profile(3), False)):
        worker = DeviceWorker(queue_limit=1, stall_s=5)
        service = EncoderService(load, profile_on_start=True, worker=worker, given_profile=given)
        service.start()
        assert service.profile_is_coming is coming
        gate.set()
        until(lambda service=service: service.status().profile == "complete")
        assert not service.profile_is_coming
        gate.clear()
        service.stop()


@pytest.mark.anyio
async def test_live_measurements_correct_what_the_profile_predicts():
    """Three of them; the fake takes 20 ms where its profile says 20.5."""
    service = started(lambda: FakeEncoder(saved=fake_profile(3)))
    until(lambda: service.status().profile == "complete")
    before = service.predictions()
    assert service.from_profile(SMALL).at(50) == 20.5
    for _ in range(3):
        await measure(service, SMALL)
    assert service.from_profile(SMALL).at(50) == pytest.approx(20)
    assert before.latency(SMALL).at(50) == 20.5, "a value does not change"
    service.stop()


@pytest.mark.parametrize("counts", [1, 2])
def test_a_saved_profile_of_fewer_counts_is_extended(counts):
    """Even if it was complete for what was asked of it then."""
    service = started(lambda: FakeEncoder(saved=fake_profile(counts)))
    until(lambda: service.status().profiled == 3)
    service.stop()
