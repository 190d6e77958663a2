"""Measurements of the profile: one at a time, in the background, each with a known end."""

import threading
from concurrent.futures import CancelledError, Future

import pytest
from support.fakes import FakeEncoder, fake_profile
from support.waiting import until

from app.core.errors import (
    EncoderUnavailable,
    MeasurementRunning,
    OutOfDeviceMemory,
    UnknownMeasurement,
)
from app.core.latency.status import MeasurementRequest, MeasurementState
from app.serving.latency.device_profile import DeviceProfile
from app.serving.latency.measurements import REMEMBERED, Measurement


@pytest.fixture
def encoder() -> FakeEncoder:
    """Has a profile of 1 to 3 crops in all, 10 ms each."""
    return FakeEncoder(saved=fake_profile(3))


@pytest.fixture
def device_profile(worker, encoder) -> DeviceProfile:
    """With the saved profile in use."""
    device_profile = DeviceProfile(worker)
    device_profile.begin(encoder, measure=True)()
    assert device_profile.state == "complete"
    return device_profile


def ended(device_profile: DeviceProfile, state: MeasurementState) -> MeasurementState:
    until(lambda: device_profile.measurements.state(state.id).status != "running")
    return device_profile.measurements.state(state.id)


def held(device_profile: DeviceProfile, encoder: FakeEncoder, **asked) -> MeasurementState:
    """A measurement whose first pass lasts until the gate is set."""
    encoder.gate.clear()
    encoder.started.clear()
    state = device_profile.start(encoder, **asked)
    assert encoder.started.wait(60)
    return state


def medians(profile) -> dict[int, float]:
    return {entry.total_crops: entry.vision_ms.p50 for entry in profile.entries}


def test_what_is_measured_replaces_its_counts_and_no_others(device_profile, encoder):
    """In the profile in use and in the one that is saved; the answer has only what was asked."""
    encoder.ms_per_crop = 20.0
    done = ended(device_profile, device_profile.start(encoder, counts=[5, 2, 2]))
    assert (done.status, done.progress, done.failure) == ("done", 1.0, None)
    assert done.request.counts == (2, 5)
    assert medians(done.profile) == {2: 40.5, 5: 100.5}
    assert medians(device_profile.profile) == {1: 10.5, 2: 40.5, 3: 30.5, 5: 100.5}
    assert encoder.saved == device_profile.profile
    assert device_profile.state == "complete"
    assert device_profile.progress(encoder) == (3, 3), "5 is not one of the counts of the start"


def test_the_profile_in_use_stays_whole_until_the_measurement_is_done(device_profile, encoder):
    before = device_profile.profile
    state = held(device_profile, encoder)
    assert device_profile.profile == encoder.saved == before
    assert device_profile.state == "complete"
    encoder.ms_per_crop = 20.0
    encoder.gate.set()
    ended(device_profile, state)
    assert medians(device_profile.profile) == {1: 20.5, 2: 40.5, 3: 60.5}


def test_the_default_is_what_the_start_measures(device_profile, encoder):
    request = ended(device_profile, device_profile.start(encoder)).request
    assert (request.counts, request.dtype, request.repeats, request.full) == (
        (1, 2, 3), "float32", None, False,
    )  # fmt: skip


def test_only_one_runs_at_a_time_and_the_other_is_told_which(device_profile, encoder):
    state = held(device_profile, encoder)
    with pytest.raises(MeasurementRunning) as caught:
        device_profile.start(encoder)
    assert caught.value.facts["id"] == device_profile.measurements.running.id == state.id
    encoder.gate.set()
    ended(device_profile, state)
    assert device_profile.measurements.running is None
    assert ended(device_profile, device_profile.start(encoder)).status == "done"


def test_of_many_at_once_one_is_let_in(device_profile, encoder):
    """However the threads come."""
    encoder.gate.clear()
    together = threading.Barrier(8)
    outcomes: list[str] = []

    def ask() -> None:
        together.wait(60)
        try:
            outcomes.append(device_profile.start(encoder).id)
        except MeasurementRunning as error:
            outcomes.append(error.facts["id"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    encoder.gate.set()
    assert len(outcomes) == 8
    assert len(set(outcomes)) == 1, "all heard of the same measurement"


def test_that_of_the_start_is_one_of_them(worker):
    """Running from the moment the encoder is there, and cancelled like any."""
    encoder, device_profile = FakeEncoder(), DeviceProfile(worker)
    measure = device_profile.begin(encoder, measure=True)
    running = device_profile.measurements.running
    with pytest.raises(MeasurementRunning):
        device_profile.start(encoder)
    encoder.gate.clear()
    thread = threading.Thread(target=measure)
    thread.start()
    assert encoder.started.wait(60)
    device_profile.measurements.cancel(running.id)
    encoder.gate.set()
    thread.join(60)
    assert device_profile.measurements.state(running.id).status == "cancelled"
    assert device_profile.state == "partial"
    assert medians(device_profile.profile) == medians(encoder.saved) == {1: 10.5}


def test_cancelling_stops_before_the_next_pass_and_keeps_what_there_is(device_profile, encoder):
    """In the answer, as incomplete; the profile in use is left alone."""
    before = device_profile.profile
    encoder.ms_per_crop = 20.0
    state = held(device_profile, encoder)
    assert device_profile.measurements.cancel(state.id).status == "running", (
        "the pass under way is let finish"
    )
    encoder.gate.set()
    cancelled = ended(device_profile, state)
    assert cancelled.status == "cancelled"
    assert encoder.profile_passes == 1
    assert medians(cancelled.profile) == {1: 20.5}
    assert not cancelled.profile.complete
    assert device_profile.profile == encoder.saved == before
    assert device_profile.measurements.cancel(state.id) == cancelled, "again does no harm"


def test_a_pass_that_waits_for_the_device_is_cancelled_at_once(device_profile, encoder, worker):
    """However long requests keep the device."""
    busy, release = threading.Event(), threading.Event()
    request = worker.submit(lambda: (busy.set(), release.wait(60)))
    assert busy.wait(60)
    state = device_profile.start(encoder)
    device_profile.measurements.cancel(state.id)
    cancelled = ended(device_profile, state)
    assert (cancelled.status, cancelled.profile) == ("cancelled", None)
    release.set()
    request.result(60)
    assert encoder.profile_passes == 0


def test_work_that_is_queued_just_after_cancelling_is_cancelled_too():
    """There is a moment between asking whether to stop and queueing the next pass."""
    measurement = Measurement(MeasurementRequest((1,), "float32"))
    measurement.cancel()
    queued: Future[None] = Future()
    too_late = threading.Timer(5, queued.set_result, [None])
    too_late.start()
    with pytest.raises(CancelledError):
        measurement.result_of(queued)
    too_late.cancel()


def test_cancelling_what_is_done_changes_nothing(device_profile, encoder):
    done = ended(device_profile, device_profile.start(encoder))
    assert device_profile.measurements.cancel(done.id) == done


def test_requests_come_between_two_passes(device_profile, encoder, worker):
    """A request that is sent during a pass is served before the next one."""
    state = held(device_profile, encoder)
    passes_before = worker.submit(lambda: encoder.profile_passes)
    encoder.gate.set()
    assert passes_before.result(60) == 1
    assert ended(device_profile, state).status == "done"


@pytest.mark.parametrize(
    ("error", "slug", "told"),
    [
        (OutOfDeviceMemory("needs 9 MB"), "out-of-device-memory", "needs 9 MB"),
        (RuntimeError("secret"), "internal-error", "log"),
    ],
)
def test_a_failure_is_told_and_leaves_the_profile_alone(device_profile, encoder, error, slug, told):
    before = device_profile.profile
    encoder.profile_failure = lambda: error
    failed = ended(device_profile, device_profile.start(encoder))
    assert (failed.status, failed.failure.slug) == ("failed", slug)
    assert told in failed.failure.detail
    assert "secret" not in failed.failure.detail
    assert failed.ended_at is not None
    assert (device_profile.profile, device_profile.state) == (before, "complete")
    encoder.profile_failure = None
    assert ended(device_profile, device_profile.start(encoder)).status == "done"


def test_some_counts_alone_are_no_complete_profile(worker):
    """Though the measurement is; batches are not sized by what fewer counts say."""
    encoder, device_profile = FakeEncoder(), DeviceProfile(worker)
    device_profile.begin(encoder, measure=False)()
    assert device_profile.state == "off"
    done = ended(device_profile, device_profile.start(encoder, counts=[1]))
    assert done.profile.complete
    assert (device_profile.state, device_profile.progress(encoder)) == ("partial", (1, 3))
    assert device_profile.whole_profile is None
    ended(device_profile, device_profile.start(encoder, counts=[2, 3]))
    assert (device_profile.state, device_profile.progress(encoder)) == ("complete", (3, 3))
    assert device_profile.whole_profile == device_profile.profile


def test_a_failure_at_the_start_leaves_a_profile_to_be_measured_again(worker):
    encoder, device_profile = FakeEncoder(), DeviceProfile(worker)
    encoder.profile_failure = RuntimeError
    device_profile.begin(encoder, measure=True)()
    assert device_profile.state == "failed"
    encoder.profile_failure = None
    ended(device_profile, device_profile.start(encoder))
    assert device_profile.state == "complete"


def test_another_dtype_is_measured_by_a_second_encoder_that_is_not_kept(device_profile, encoder):
    """The profile in use is left alone; the other is saved in its own place."""
    before = device_profile.profile
    done = ended(device_profile, device_profile.start(encoder, dtype="bfloat16"))
    assert (done.status, done.profile.dtype) == ("done", "bfloat16")
    assert encoder.others == [done.profile]
    assert device_profile.profile == encoder.saved == before
    until(lambda: encoder.freed)


def test_a_second_encoder_is_not_kept_by_its_failure(device_profile, encoder, monkeypatch):
    """But for the test's own handler, which keeps every error that is logged."""
    monkeypatch.setattr("app.serving.latency.device_profile.log.exception", lambda *_: None)
    encoder.profile_failure = RuntimeError
    failed = ended(device_profile, device_profile.start(encoder, dtype="bfloat16"))
    assert failed.status == "failed"
    until(lambda: encoder.freed)


def test_the_last_few_are_kept(device_profile, encoder):
    states = [
        ended(device_profile, device_profile.start(encoder, counts=[1]))
        for _ in range(REMEMBERED + 1)
    ]
    with pytest.raises(UnknownMeasurement):
        device_profile.measurements.state(states[0].id)
    for state in states[1:]:
        assert device_profile.measurements.state(state.id) == state
    assert len({state.id for state in states}) == len(states)


def test_progress_is_shown_and_ends_at_one_only_when_done(device_profile, encoder):
    state = held(device_profile, encoder, counts=[1, 2])
    assert (state.progress, state.phase, state.last_ms) == (0.0, None, None)
    encoder.gate.set()
    done = ended(device_profile, state)
    assert (done.progress, done.phase, done.total_crops, done.last_ms) == (1.0, "rounds", 2, 20.0)
    assert done.started_at <= done.ended_at


def test_nothing_is_started_on_a_worker_that_does_not_run(device_profile, encoder, worker):
    state = held(device_profile, encoder)
    worker.stop()
    encoder.gate.set()
    assert ended(device_profile, state).failure.slug == "encoder-unavailable"
    with pytest.raises(EncoderUnavailable):
        device_profile.start(encoder)


def test_a_saved_profile_that_was_cut_short_is_gone_on_with(worker):
    """Though it has every count: one pass of each is not what was asked for."""
    encoder, device_profile = (
        FakeEncoder(saved=fake_profile(3, complete=False)),
        DeviceProfile(worker),
    )
    measure = device_profile.begin(encoder, measure=True)
    assert device_profile.state == "measuring"
    assert device_profile.whole_profile is None
    measure()
    assert device_profile.state == "complete"
    assert encoder.saved.complete


def test_a_profile_of_nothing_takes_no_ones_place(worker):
    """Neither in use nor in the file, where the start was cancelled before its first pass."""
    encoder, device_profile = FakeEncoder(), DeviceProfile(worker)
    measure = device_profile.begin(encoder, measure=True)
    device_profile.measurements.cancel(device_profile.measurements.running.id)
    measure()
    assert device_profile.profile is None
    assert encoder.saved is None
    assert device_profile.state == "partial"
    assert device_profile.why_none().endswith("none is being measured")


def test_a_saved_profile_that_raises_is_a_failure_with_a_reason(worker, encoder, monkeypatch):
    """The service goes on without a profile, and another can be measured."""

    def broken() -> None:
        raise PermissionError

    monkeypatch.setattr(encoder, "saved_profile", broken)
    device_profile = DeviceProfile(worker)
    device_profile.begin(encoder, measure=True)()
    assert (device_profile.state, device_profile.profile) == ("failed", None)
    assert "see the log" in device_profile.why_none()
    done = ended(device_profile, device_profile.start(encoder))
    assert (done.status, device_profile.state) == ("done", "complete")


def test_a_measurement_of_nothing_is_a_failure(device_profile, encoder, monkeypatch):
    """As where no count fits the memory; the profile in use stays."""
    before = device_profile.profile
    monkeypatch.setattr(encoder, "profile", lambda *_, **__: iter(()))
    failed = ended(device_profile, device_profile.start(encoder))
    assert failed.status == "failed"
    assert "no count was measured" in failed.failure.detail
    assert device_profile.profile is before
