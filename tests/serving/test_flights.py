"""Passes that a GPU still works on: the next is launched beside one, and every law holds."""

import gc
import threading
import time
import weakref
from types import SimpleNamespace

import pytest
from support.devices import Flight, Image, results, submit
from support.waiting import until

from app.core.errors import DeviceLost, EncoderUnavailable, QueueFull
from app.serving.device.worker import DeviceWorker
from app.serving.encode.batcher import Batcher


@pytest.fixture
def flies() -> bool:
    return True


@pytest.fixture
def flying(batcher, device):
    """One pass, of the item ``a``, is on the device."""
    (first,) = submit(batcher, "a")
    until(lambda: device.passes == ["a"])
    return first


def settle() -> None:
    """Give the worker time to do what it must not do."""
    time.sleep(0.05)


def test_the_next_pass_is_launched_before_the_first_is_done(batcher, device, flying):
    """So the device finds work when it is done. Each gets its own result, when its pass lands."""
    second = submit(batcher, "bcd", 2)
    until(lambda: device.passes == ["a", "bc"])
    assert not flying.done()
    device.land("a")
    assert results([flying]) == ["A"]
    device.land("bc")
    device.land("d")
    assert results(second) == ["B", "C", "D"]
    assert device.passes == ["a", "bc", "d"]


def test_few_crops_wait_for_company_while_the_device_is_busy(batcher, device, flying):
    """Launched alone at once, they would gain little and run in a small pass."""
    early = submit(batcher, "b")
    settle()
    assert device.passes == ["a"]
    late = submit(batcher, "c")  # half the limit of 4
    until(lambda: device.passes == ["a", "bc"])
    device.land("a")
    device.land("bc")
    assert results([flying, *early, *late]) == ["A", "B", "C"]


def test_an_idle_device_does_not_wait_for_company(batcher, device, flying):
    """Few crops are launched as soon as the pass before them has landed."""
    few = submit(batcher, "b")
    device.land("a")
    device.land("b")
    assert results([flying, *few]) == ["A", "B"]


def test_two_passes_fly_at_most(batcher, device, flying):
    waiting = submit(batcher, "bcd", 4)
    until(lambda: device.passes == ["a", "b"])
    settle()
    assert device.passes == ["a", "b"]
    device.land("a")
    until(lambda: device.passes == ["a", "b", "c"])
    for names in "bcd":
        device.land(names)
    assert results([flying, *waiting]) == ["A", "B", "C", "D"]


def test_a_pass_is_timed_from_when_the_device_was_free_for_it(worker, device, monkeypatch):
    """What it waited for behind another is its wait, not its time."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "app.serving.encode.batcher.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    batcher = Batcher(worker, device, limit_crops=lambda: 4, queue_crops=20)
    first, second = submit(batcher, "ab", 4)
    until(lambda: device.passes == ["a", "b"])
    clock.now = 5.0
    device.land("a")
    first.result(60)
    clock.now = 7.0
    device.land("b")
    assert (first.result(60).queue_ms, first.result(60).pass_ms) == (0, 5000)
    assert (second.result(60).queue_ms, second.result(60).pass_ms) == (5000, 2000)


def test_a_pass_behind_a_failed_one_is_timed_from_its_failure(worker, device, monkeypatch):
    """The device was busy until then."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "app.serving.encode.batcher.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    batcher = Batcher(worker, device, limit_crops=lambda: 4, queue_crops=20)
    device.failures["a"] = RuntimeError("broken")
    first, second = submit(batcher, "ab", 4)
    until(lambda: device.passes == ["a", "b"])
    clock.now = 5.0
    device.land("a")
    assert isinstance(first.exception(60), RuntimeError)
    clock.now = 7.0
    device.land("b")
    assert (second.result(60).queue_ms, second.result(60).pass_ms) == (5000, 2000)


def test_a_full_queue_says_to_come_back_after_a_pass(worker, device, monkeypatch):
    """As long as the last one took, in whole seconds, and after one second where none has run."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "app.serving.encode.batcher.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    batcher = Batcher(worker, device, limit_crops=lambda: 4, queue_crops=4)
    for name, pass_s, told_s in (("a", 7.2, 1), ("b", 0.3, 8), ("c", 0.0, 1)):
        (full,) = submit(batcher, name, 4)
        with pytest.raises(QueueFull) as refused:
            batcher.submit(Image("z"))
        assert refused.value.facts["retry_after_s"] == told_s
        until(lambda name=name: device.passes[-1:] == [name])
        clock.now += pass_s
        device.land(name)
        full.result(60)


def test_a_measurement_has_the_device_to_itself(batcher, device, flying, worker):
    """It waits for what flies, and what came after it waits for it."""
    order: list[str] = []
    measured = worker.submit(lambda: order.append(f"measured beside {worker.flights}"))
    behind = submit(batcher, "b", 4)
    settle()
    assert order == []
    assert device.passes == ["a"]
    device.land("a")
    measured.result(60)
    device.land("b")
    assert results([flying, *behind]) == ["A", "B"]
    assert order == ["measured beside 0"]


def test_a_profile_waits_for_what_flies_and_for_what_waits(batcher, device, flying, worker):
    order: list[str] = []
    profiled = worker.submit(lambda: order.extend(device.passes), background=True)
    request = submit(batcher, "b")
    device.land("a")
    device.land("b")
    profiled.result(60)
    assert order == ["a", "b"]
    assert results([flying, *request]) == ["A", "B"]


def test_what_fits_no_memory_beside_a_pass_is_run_again_by_itself(batcher, device, flying):
    """It is not the pass's own failure, and no item's: nothing is halved."""
    device.memory_crops = 2
    second = submit(batcher, "bc")
    until(lambda: device.passes == ["a", "bc"])
    device.land("a")
    device.land("bc")
    assert results([flying, *second]) == ["A", "B", "C"]
    assert device.passes == ["a", "bc", "bc"]


def test_a_pass_that_fits_no_memory_is_halved_once_it_is_by_itself(batcher, device, flying):
    device.memory_crops = 2
    second = submit(batcher, "bcde")
    device.land("a")
    for names in ("bc", "de"):
        device.land(names)
    assert results([flying, *second]) == ["A", "B", "C", "D", "E"]
    assert device.passes[-3:] == ["bcde", "bc", "de"]


def test_an_image_that_fails_when_its_pass_lands_fails_alone(batcher, device, flying):
    device.failures["c"] = ValueError("bad pixels")
    second = submit(batcher, "bcde")
    for names in ("a", "bcde", "bc", "b", "c", "de"):
        device.land(names)
    with pytest.raises(ValueError, match="bad pixels"):
        second[1].result(60)
    assert results([flying, second[0], *second[2:]]) == ["A", "B", "D", "E"]


def test_a_device_lost_under_way_fails_all_that_fly_and_wait(batcher, device, flying, worker):
    device.flights[0].failure = DeviceLost("an illegal memory access")
    second = submit(batcher, "bc", 4)
    until(lambda: device.passes == ["a", "b"])
    device.land("a")
    for future in (flying, *second):
        with pytest.raises(EncoderUnavailable, match="an illegal memory access"):
            future.result(60)
    until(lambda: worker.state == "dead")
    assert device.passes == ["a", "b"]
    batcher.check_room(20)  # every place was given back


def test_stopping_lets_what_flies_land(batcher, device, flying, worker):
    waiting = submit(batcher, "b")
    worker.stop()
    with pytest.raises(EncoderUnavailable, match="stopping"):
        waiting[0].result(60)
    settle()
    device.land("a")
    assert results([flying]) == ["A"]


def test_a_cancelled_item_costs_nothing_while_another_flies(batcher, device, flying):
    """Nor do its crops count as company."""
    (leaving,) = submit(batcher, "b")
    assert leaving.cancel()
    staying = submit(batcher, "c")
    settle()
    device.land("a")
    device.land("c")
    assert results([flying, *staying]) == ["A", "C"]
    assert device.passes == ["a", "c"]


def test_a_pass_that_does_not_land_makes_the_worker_stalled(device):
    """Though its thread is free; and it runs again once the device comes back."""
    worker = DeviceWorker(queue_limit=1, stall_s=0.05)
    worker.start()
    batcher = Batcher(worker, device, limit_crops=lambda: 4, queue_crops=20)
    (stuck,) = submit(batcher, "a")
    until(lambda: worker.state == "stalled")
    device.land("a")
    assert results([stuck]) == ["A"]
    until(lambda: worker.state == "running")
    worker.stop()


def test_nothing_holds_a_pass_once_it_has_landed(batcher, device, flying):
    """Its memory is the device's and the host's, and the worker may be idle for long."""
    device.land("a")
    flying.result(60)
    settle()
    gone = weakref.ref(device.flights.pop())
    gc.collect()
    until(lambda: gone() is None)


def test_nothing_is_lost_or_mixed_up_under_many_threads(worker):
    """Passes land by themselves, some fail, and everyone hears its own."""

    class Landing(Flight):
        def __init__(self, images) -> None:
            super().__init__(images)
            self.images = images
            self.landed.set()

        def result(self) -> list[str]:
            if len(self.images) > 1 and any(image.name.endswith("3") for image in self.images):
                raise ValueError("fails in company")
            return [image.name for image in self.images]

    batcher = Batcher(worker, Landing, limit_crops=lambda: 7, queue_crops=10_000)
    wrong: list[str] = []

    def client(number: int) -> None:
        for turn in range(40):
            name = f"{number}/{turn}"
            if batcher.submit(Image(name, 1 + turn % 5)).result(60).result != name:
                wrong.append(name)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert batcher.waiting == 0
    batcher.check_room(10_000)  # every place was given back


def test_the_oldest_part_of_failed_passes_is_next(batcher, device, flying):
    """Also where two passes fail in the air, one after the other: the older one's halves first."""
    device.failures = {name: RuntimeError("broken") for name in "cd"}
    older = submit(batcher, "bc", 2)
    until(lambda: device.passes == ["a", "bc"])
    younger = submit(batcher, "de", 2)
    device.land("a")
    until(lambda: device.passes == ["a", "bc", "de"])
    device.land("de")
    device.land("bc")
    for names in ("b", "c", "d", "e"):
        device.land(names)
    assert flying.result(60).result == "A"
    assert older[0].result(60).result == "B"
    assert isinstance(older[1].exception(60), RuntimeError)
    assert isinstance(younger[0].exception(60), RuntimeError)
    assert younger[1].result(60).result == "E"
    assert device.passes[3:] == ["b", "c", "d", "e"]


def test_who_left_does_not_keep_a_pass_from_overlapping(worker, batcher, device, flying):
    """A job that was cancelled while it waited would need the device to itself; nobody runs it."""
    left = worker.submit(lambda: None)
    assert left.cancel()
    submit(batcher, "bcd", 2)
    until(lambda: device.passes == ["a", "bc"])
