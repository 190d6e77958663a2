"""The device worker: in order, bounded, and never a reason to wait for ever."""

import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from support.waiting import until

from app.core.errors import DeadlineExceeded, DeviceLost, EncoderUnavailable, QueueFull
from app.serving.device.worker import DeviceWorker

STALL_S = 60.0


@pytest.fixture
def worker():
    worker = DeviceWorker(queue_limit=2, stall_s=STALL_S)
    worker.start()
    yield worker
    worker.stop()


class Held:
    """A job that runs until it is let go."""

    def __init__(self, worker: DeviceWorker) -> None:
        self.running, self.released = threading.Event(), threading.Event()
        self.future: Future = worker.submit(self)
        assert self.running.wait(60)

    def __call__(self) -> str:
        self.running.set()
        self.released.wait(60)
        return "done"


def test_results_and_exceptions_reach_their_own_submitter(worker):
    good = worker.submit(lambda: 7)
    bad = worker.submit(lambda: 1 / 0)
    assert good.result(60) == 7
    with pytest.raises(ZeroDivisionError):
        bad.result(60)
    assert worker.submit(lambda: 8).result(60) == 8, "an exception does not end the worker"


def test_requests_come_before_background_work(worker):
    order: list[str] = []
    held = Held(worker)
    late = worker.submit(lambda: order.append("background"), background=True)
    first = worker.submit(lambda: order.append("request"))
    held.released.set()
    first.result(60)
    late.result(60)
    assert order == ["request", "background"]


def test_a_full_queue_refuses_with_its_numbers(worker):
    """Work whose submitter has a limit of its own takes no place, nor does background work."""
    held = Held(worker)
    for unbounded in ({"bounded": False}, {"background": True}):
        worker.submit(lambda: None, **unbounded)
    waiting = [worker.submit(lambda: None) for _ in range(2)]
    with pytest.raises(QueueFull) as caught:
        worker.submit(lambda: None)
    assert caught.value.facts == {"limit": 2, "actual": 2, "retry_after_s": 5}
    worker.submit(lambda: None, background=True)
    held.released.set()
    for future in waiting:
        future.result(60)


def test_cancelled_and_late_jobs_are_dropped_before_they_cost(worker):
    ran: list[str] = []
    held = Held(worker)
    cancelled = worker.submit(lambda: ran.append("cancelled"))
    late = worker.submit(lambda: ran.append("late"), deadline=time.monotonic() - 1)
    cancelled.cancel()
    held.released.set()
    with pytest.raises(DeadlineExceeded):
        late.result(60)
    assert ran == []


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "app.serving.device.worker.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    return clock


def test_a_long_pass_shows_as_stalled_and_a_beat_clears_it(clock, worker):
    held = Held(worker)
    clock.now += STALL_S
    assert worker.state == "running"
    clock.now += 1
    assert worker.state == "stalled"
    worker.beat()
    assert worker.state == "running"
    held.released.set()
    held.future.result(60)
    until(lambda: worker._busy_since is None)
    clock.now += 2 * STALL_S
    assert worker.state == "running", "an idle worker is not stalled"


def test_a_patient_job_is_never_stalled(clock, worker):
    """Loading a large checkpoint may take minutes, and a restart would not be the cure."""
    running, release = threading.Event(), threading.Event()

    def load() -> bool:
        running.set()
        return release.wait(60)

    loading = worker.submit(load, background=True, patient=True)
    assert running.wait(60)
    clock.now += 2 * STALL_S
    assert worker.state == "running"
    release.set()
    assert loading.result(60)


def test_a_dead_worker_fails_its_waiters_at_once_and_takes_no_more(worker):
    def die() -> None:
        raise SystemExit

    held = Held(worker)
    dying = worker.submit(die)
    waiting = worker.submit(lambda: None)
    held.released.set()
    for future in (dying, waiting):
        with pytest.raises(EncoderUnavailable, match="died"):
            future.result(60)
    assert worker.state == "dead"
    with pytest.raises(EncoderUnavailable):
        worker.submit(lambda: None)


def test_stopping_fails_what_waits(worker):
    held = Held(worker)
    waiting = worker.submit(lambda: None)
    worker.stop()
    with pytest.raises(EncoderUnavailable, match="stopping"):
        waiting.result(60)
    held.released.set()
    assert held.future.result(60) == "done", "what runs is let finish"


def test_a_lost_device_ends_the_worker_with_its_reason(worker):
    """Its own waiter hears it, and all others at once."""

    def lose() -> None:
        raise DeviceLost("an illegal memory access")

    held = Held(worker)
    losing = worker.submit(lose)
    waiting = worker.submit(lambda: None)
    assert worker.reason is None
    held.released.set()
    for future in (losing, waiting):
        with pytest.raises(EncoderUnavailable, match="an illegal memory access"):
            future.result(60)
    assert (worker.state, worker.reason) == ("dead", "an illegal memory access")
    with pytest.raises(EncoderUnavailable, match="an illegal memory access"):
        worker.submit(lambda: None)
