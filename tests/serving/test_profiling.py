"""Measurements of the profile: one at a time, in the background, each with a known end."""

import threading
from collections.abc import Iterator
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
from app.serving.device.protocol import MeasurementRequest
from app.serving.device.worker import DeviceWorker
from app.serving.latency.device_profile import Profiling
from app.serving.latency.measurement import Measurement, MeasurementState
from app.serving.latency.measurements import KEPT


@pytest.fixture
def worker() -> Iterator[DeviceWorker]:
    worker = DeviceWorker(queue_limit=2, stall_s=5)
    worker.start()
    yield worker
    worker.stop()


@pytest.fixture
def encoder() -> FakeEncoder:
    """Has a profile of 1 to 3 crops in all, 10 ms each."""
    return FakeEncoder(saved=fake_profile(3))


@pytest.fixture
def profiling(worker, encoder) -> Profiling:
    """With the saved profile in use."""
    profiling = Profiling(worker)
    profiling.begin(encoder, measure=True)()
    assert profiling.state == "complete"
    return profiling


def ended(profiling: Profiling, state: MeasurementState) -> MeasurementState:
    until(lambda: profiling.measurement(state.id).status != "running")
    return profiling.measurement(state.id)


def held(profiling: Profiling, encoder: FakeEncoder, **asked) -> MeasurementState:
    """A measurement whose first pass lasts until the gate is set."""
    encoder.gate.clear()
    encoder.started.clear()
    state = profiling.start(encoder, **asked)
    assert encoder.started.wait(5)
    return state


def medians(profile) -> dict[int, float]:
    return {entry.total_crops: entry.vision_ms.p50 for entry in profile.entries}


def test_what_is_measured_replaces_its_counts_and_no_others(profiling, encoder):
    """In the profile in use and in the one that is saved; the answer has only what was asked."""
    encoder.ms_per_crop = 20.0
    done = ended(profiling, profiling.start(encoder, counts=[5, 2, 2]))
    assert (done.status, done.progress, done.failure) == ("done", 1.0, None)
    assert done.request.counts == (2, 5)
    assert medians(done.profile) == {2: 40.5, 5: 100.5}
    assert medians(profiling.profile) == {1: 10.5, 2: 40.5, 3: 30.5, 5: 100.5}
    assert encoder.saved == profiling.profile
    assert profiling.state == "complete"
    assert profiling.progress(encoder) == (3, 3), "5 is not one of the counts of the start"


def test_the_profile_in_use_stays_whole_until_the_measurement_is_done(profiling, encoder):
    before = profiling.profile
    state = held(profiling, encoder)
    assert profiling.profile == encoder.saved == before
    assert profiling.state == "complete"
    encoder.ms_per_crop = 20.0
    encoder.gate.set()
    ended(profiling, state)
    assert medians(profiling.profile) == {1: 20.5, 2: 40.5, 3: 60.5}


def test_the_default_is_what_the_start_measures(profiling, encoder):
    request = ended(profiling, profiling.start(encoder)).request
    assert (request.counts, request.dtype, request.repeats, request.full) == (
        (1, 2, 3), "float32", None, False,
    )  # fmt: skip


def test_only_one_runs_at_a_time_and_the_other_is_told_which(profiling, encoder):
    state = held(profiling, encoder)
    with pytest.raises(MeasurementRunning) as caught:
        profiling.start(encoder)
    assert caught.value.facts["id"] == profiling.running.id == state.id
    encoder.gate.set()
    ended(profiling, state)
    assert profiling.running is None
    assert ended(profiling, profiling.start(encoder)).status == "done"


def test_of_many_at_once_one_is_let_in(profiling, encoder):
    """However the threads come."""
    encoder.gate.clear()
    together = threading.Barrier(8)
    outcomes: list[str] = []

    def ask() -> None:
        together.wait(5)
        try:
            outcomes.append(profiling.start(encoder).id)
        except MeasurementRunning as error:
            outcomes.append(error.facts["id"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    encoder.gate.set()
    assert len(outcomes) == 8
    assert len(set(outcomes)) == 1, "all heard of the same measurement"


def test_that_of_the_start_is_one_of_them(worker):
    """Running from the moment the encoder is there, and cancelled like any."""
    encoder, profiling = FakeEncoder(), Profiling(worker)
    measure = profiling.begin(encoder, measure=True)
    running = profiling.running
    with pytest.raises(MeasurementRunning):
        profiling.start(encoder)
    encoder.gate.clear()
    thread = threading.Thread(target=measure)
    thread.start()
    assert encoder.started.wait(5)
    profiling.cancel(running.id)
    encoder.gate.set()
    thread.join(5)
    assert profiling.measurement(running.id).status == "cancelled"
    assert profiling.state == "partial"
    assert medians(profiling.profile) == medians(encoder.saved) == {1: 10.5}


def test_cancelling_stops_before_the_next_pass_and_keeps_what_there_is(profiling, encoder):
    """In the answer, as incomplete; the profile in use is left alone."""
    before = profiling.profile
    encoder.ms_per_crop = 20.0
    state = held(profiling, encoder)
    assert profiling.cancel(state.id).status == "running", "the pass under way is let finish"
    encoder.gate.set()
    cancelled = ended(profiling, state)
    assert cancelled.status == "cancelled"
    assert encoder.profile_passes == 1
    assert medians(cancelled.profile) == {1: 20.5}
    assert not cancelled.profile.complete
    assert profiling.profile == encoder.saved == before
    assert profiling.cancel(state.id) == cancelled, "again does no harm"


def test_a_pass_that_waits_for_the_device_is_cancelled_at_once(profiling, encoder, worker):
    """However long requests keep the device."""
    busy, release = threading.Event(), threading.Event()
    request = worker.submit(lambda: (busy.set(), release.wait(10)))
    assert busy.wait(5)
    state = profiling.start(encoder)
    profiling.cancel(state.id)
    cancelled = ended(profiling, state)
    assert (cancelled.status, cancelled.profile) == ("cancelled", None)
    release.set()
    request.result(5)
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


def test_cancelling_what_is_done_changes_nothing(profiling, encoder):
    done = ended(profiling, profiling.start(encoder))
    assert profiling.cancel(done.id) == done


def test_requests_come_between_two_passes(profiling, encoder, worker):
    """A request that is sent during a pass is served before the next one."""
    state = held(profiling, encoder)
    passes_before = worker.submit(lambda: encoder.profile_passes)
    encoder.gate.set()
    assert passes_before.result(5) == 1
    assert ended(profiling, state).status == "done"


@pytest.mark.parametrize(
    ("error", "slug", "told"),
    [
        (OutOfDeviceMemory("needs 9 MB"), "out-of-device-memory", "needs 9 MB"),
        (RuntimeError("secret"), "internal-error", "log"),
    ],
)
def test_a_failure_is_told_and_leaves_the_profile_alone(profiling, encoder, error, slug, told):
    before = profiling.profile
    encoder.profile_failure = lambda: error
    failed = ended(profiling, profiling.start(encoder))
    assert (failed.status, failed.failure.slug) == ("failed", slug)
    assert told in failed.failure.detail
    assert "secret" not in failed.failure.detail
    assert failed.ended_at is not None
    assert (profiling.profile, profiling.state) == (before, "complete")
    encoder.profile_failure = None
    assert ended(profiling, profiling.start(encoder)).status == "done"


def test_some_counts_alone_are_no_complete_profile(worker):
    """Though the measurement is; batches are not sized by what fewer counts say."""
    encoder, profiling = FakeEncoder(), Profiling(worker)
    profiling.begin(encoder, measure=False)()
    assert profiling.state == "off"
    done = ended(profiling, profiling.start(encoder, counts=[1]))
    assert done.profile.complete
    assert (profiling.state, profiling.progress(encoder)) == ("partial", (1, 3))
    assert profiling.whole_profile is None
    ended(profiling, profiling.start(encoder, counts=[2, 3]))
    assert (profiling.state, profiling.progress(encoder)) == ("complete", (3, 3))
    assert profiling.whole_profile == profiling.profile


def test_a_failure_at_the_start_leaves_a_profile_to_be_measured_again(worker):
    encoder, profiling = FakeEncoder(), Profiling(worker)
    encoder.profile_failure = RuntimeError
    profiling.begin(encoder, measure=True)()
    assert profiling.state == "failed"
    encoder.profile_failure = None
    ended(profiling, profiling.start(encoder))
    assert profiling.state == "complete"


def test_another_dtype_is_measured_by_a_second_encoder_that_is_not_kept(profiling, encoder):
    """The profile in use is left alone; the other is saved in its own place."""
    before = profiling.profile
    done = ended(profiling, profiling.start(encoder, dtype="bfloat16"))
    assert (done.status, done.profile.dtype) == ("done", "bfloat16")
    assert encoder.others == [done.profile]
    assert profiling.profile == encoder.saved == before
    until(lambda: encoder.freed)


def test_a_second_encoder_is_not_kept_by_its_failure(profiling, encoder, monkeypatch):
    """But for the test's own handler, which keeps every error that is logged."""
    monkeypatch.setattr("app.serving.latency.device_profile.log.exception", lambda *_: None)
    encoder.profile_failure = RuntimeError
    failed = ended(profiling, profiling.start(encoder, dtype="bfloat16"))
    assert failed.status == "failed"
    until(lambda: encoder.freed)


def test_the_last_few_are_kept(profiling, encoder):
    states = [ended(profiling, profiling.start(encoder, counts=[1])) for _ in range(KEPT + 1)]
    with pytest.raises(UnknownMeasurement):
        profiling.measurement(states[0].id)
    for state in states[1:]:
        assert profiling.measurement(state.id) == state
    assert len({state.id for state in states}) == len(states)


def test_progress_is_shown_and_ends_at_one_only_when_done(profiling, encoder):
    state = held(profiling, encoder, counts=[1, 2])
    assert (state.progress, state.phase, state.last_ms) == (0.0, None, None)
    encoder.gate.set()
    done = ended(profiling, state)
    assert (done.progress, done.phase, done.total_crops, done.last_ms) == (1.0, "rounds", 2, 20.0)
    assert done.started_at <= done.ended_at


def test_nothing_is_started_on_a_worker_that_does_not_run(profiling, encoder, worker):
    state = held(profiling, encoder)
    worker.stop()
    encoder.gate.set()
    assert ended(profiling, state).failure.slug == "encoder-unavailable"
    with pytest.raises(EncoderUnavailable):
        profiling.start(encoder)


def test_a_saved_profile_that_was_cut_short_is_gone_on_with(worker):
    """Though it has every count: one pass of each is not what was asked for."""
    encoder, profiling = FakeEncoder(saved=fake_profile(3, complete=False)), Profiling(worker)
    measure = profiling.begin(encoder, measure=True)
    assert profiling.state == "measuring"
    assert profiling.whole_profile is None
    measure()
    assert profiling.state == "complete"
    assert encoder.saved.complete


def test_a_profile_of_nothing_takes_no_ones_place(worker):
    """Neither in use nor in the file, where the start was cancelled before its first pass."""
    encoder, profiling = FakeEncoder(), Profiling(worker)
    measure = profiling.begin(encoder, measure=True)
    profiling.cancel(profiling.running.id)
    measure()
    assert profiling.profile is None
    assert encoder.saved is None
    assert profiling.state == "partial"
