"""The device worker: in order, bounded, and never a reason to wait for ever."""

import threading
import time
from concurrent.futures import Future

import pytest

from app.core.errors import DeadlineExceeded, DeviceLost, EncoderUnavailable, QueueFull
from app.serving.device.worker import DeviceWorker


@pytest.fixture
def worker():
    worker = DeviceWorker(queue_limit=2, stall_s=0.05)
    worker.start()
    yield worker
    worker.stop()


class Held:
    """A job that runs until it is let go."""

    def __init__(self, worker: DeviceWorker) -> None:
        self.running, self.released = threading.Event(), threading.Event()
        self.future: Future = worker.submit(self)
        assert self.running.wait(5)

    def __call__(self) -> str:
        self.running.set()
        self.released.wait(5)
        return "done"


def test_results_and_exceptions_reach_their_own_submitter(worker):
    good = worker.submit(lambda: 7)
    bad = worker.submit(lambda: 1 / 0)
    assert good.result(5) == 7
    with pytest.raises(ZeroDivisionError):
        bad.result(5)
    assert worker.submit(lambda: 8).result(5) == 8, "an exception does not end the worker"


def test_requests_come_before_background_work(worker):
    order: list[str] = []
    held = Held(worker)
    late = worker.submit(lambda: order.append("background"), background=True)
    first = worker.submit(lambda: order.append("request"))
    held.released.set()
    first.result(5)
    late.result(5)
    assert order == ["request", "background"]


def test_a_full_queue_refuses_with_its_numbers(worker):
    held = Held(worker)
    waiting = [worker.submit(lambda: None) for _ in range(2)]
    with pytest.raises(QueueFull) as caught:
        worker.submit(lambda: None)
    assert caught.value.facts == {"limit": 2, "actual": 2, "retry_after_s": 5}
    worker.submit(lambda: None, background=True)
    held.released.set()
    for future in waiting:
        future.result(5)


def test_cancelled_and_late_jobs_are_dropped_before_they_cost(worker):
    ran: list[str] = []
    held = Held(worker)
    cancelled = worker.submit(lambda: ran.append("cancelled"))
    late = worker.submit(lambda: ran.append("late"), deadline=time.monotonic() - 1)
    cancelled.cancel()
    held.released.set()
    with pytest.raises(DeadlineExceeded):
        late.result(5)
    assert ran == []


def test_a_long_pass_shows_as_stalled_and_a_beat_clears_it(worker):
    held = Held(worker)
    time.sleep(0.1)
    assert worker.state == "stalled"
    worker.beat()
    assert worker.state == "running"
    held.released.set()
    held.future.result(5)
    time.sleep(0.1)
    assert worker.state == "running", "an idle worker is not stalled"


def test_a_patient_job_is_never_stalled(worker):
    """Loading a large checkpoint may take minutes, and a restart would not be the cure."""
    release = threading.Event()
    loading = worker.submit(lambda: release.wait(5), background=True, patient=True)
    time.sleep(0.1)
    assert worker.state == "running"
    release.set()
    assert loading.result(5)


def test_a_dead_worker_fails_its_waiters_at_once_and_takes_no_more(worker):
    def die() -> None:
        raise SystemExit

    held = Held(worker)
    dying = worker.submit(die)
    waiting = worker.submit(lambda: None)
    held.released.set()
    for future in (dying, waiting):
        with pytest.raises(EncoderUnavailable, match="died"):
            future.result(5)
    assert worker.state == "dead"
    with pytest.raises(EncoderUnavailable):
        worker.submit(lambda: None)


def test_stopping_fails_what_waits(worker):
    held = Held(worker)
    waiting = worker.submit(lambda: None)
    worker.stop()
    with pytest.raises(EncoderUnavailable, match="stopping"):
        waiting.result(5)
    held.released.set()
    assert held.future.result(5) == "done", "what runs is let finish"


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
            future.result(5)
    assert (worker.state, worker.reason) == ("dead", "an illegal memory access")
    with pytest.raises(EncoderUnavailable, match="an illegal memory access"):
        worker.submit(lambda: None)
