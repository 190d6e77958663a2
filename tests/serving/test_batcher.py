"""The batcher: company without waiting for it, and every failure where it belongs."""

import threading
import time
from concurrent.futures import CancelledError

import pytest
from support.devices import Done, Image, results
from support.waiting import until

from app.core.errors import (
    DeadlineExceeded,
    DeviceLost,
    EncoderUnavailable,
    OutOfDeviceMemory,
    QueueFull,
)
from app.serving.encode.batcher import Batcher


@pytest.fixture
def hold(batcher, device):
    """Let one item ``a`` occupy the device, so that others gather."""

    def held():
        device.held.clear()
        first = batcher.submit(Image("a"))
        assert device.running.wait(60)
        return first

    return held


def test_one_alone_does_not_wait_for_company(batcher, device):
    alone = batcher.submit(Image("a", 3)).result(60)
    assert (alone.result, alone.pass_crops, device.passes) == ("A", 3, ["a"])


def test_what_gathers_while_the_device_works_runs_together(batcher, device, hold):
    """Each gets its own result, and says in how large a pass."""
    futures = [hold(), *(batcher.submit(Image(name)) for name in "bcdef")]
    assert batcher.waiting == 5
    device.held.set()
    assert results(futures) == list("ABCDEF")
    assert device.passes == ["a", "bcde", "f"]
    assert [future.result().pass_crops for future in futures] == [1, 4, 4, 4, 4, 1]
    assert batcher.waiting == 0


def test_a_bad_image_fails_alone(batcher, device, hold):
    """Its company gets its results all the same."""
    device.failures["c"] = ValueError("bad pixels")
    hold()
    futures = {name: batcher.submit(Image(name)) for name in "bcde"}
    device.held.set()
    with pytest.raises(ValueError, match="bad pixels"):
        futures.pop("c").result(60)
    assert results(futures.values()) == ["B", "D", "E"]


def test_out_of_memory_halves_the_pass(batcher, device, hold):
    device.memory_crops = 2
    futures = [hold(), *(batcher.submit(Image(name)) for name in "bcde")]
    device.held.set()
    assert results(futures) == list("ABCDE")
    assert device.passes == ["a", "bcde", "bc", "de"]


def test_an_image_that_does_not_fit_alone_fails_with_that_and_the_device_stays_up(batcher, device):
    device.memory_crops = 2
    with pytest.raises(OutOfDeviceMemory):
        batcher.submit(Image("a", 3)).result(60)
    assert results([batcher.submit(Image("b"))]) == ["B"]


def test_a_cancelled_item_costs_nothing_and_frees_its_room_at_once(batcher, device, hold):
    first = hold()
    leaving = batcher.submit(Image("b", 19))
    with pytest.raises(QueueFull):
        batcher.submit(Image("c"))
    assert leaving.cancel()
    assert batcher.waiting == 0
    staying = batcher.submit(Image("c", 19))
    device.held.set()
    assert results([first, staying]) == ["A", "C"]
    assert device.passes == ["a", "c"]


def test_an_expired_item_is_dropped_before_it_costs(batcher, device, hold):
    first = hold()
    late = batcher.submit(Image("b"), deadline_s=time.monotonic() - 1)
    in_time = batcher.submit(Image("c"), deadline_s=time.monotonic() + 60)
    device.held.set()
    with pytest.raises(DeadlineExceeded):
        late.result(60)
    assert results([first, in_time]) == ["A", "C"]
    assert device.passes == ["a", "c"]


def test_the_queue_is_bounded_in_crops_with_its_numbers(batcher, device, hold):
    """The running pass counts: its crops are in memory too. Room comes back when it is done."""
    first = hold()
    second = batcher.submit(Image("b", 18))
    with pytest.raises(QueueFull) as caught:
        batcher.submit(Image("c", 2))
    assert caught.value.facts == {"limit": 20, "actual": 21, "retry_after_s": 1}
    device.held.set()
    results([first, second])
    assert results([batcher.submit(Image("d", 20))]) == ["D"]


def test_an_item_larger_than_the_queue_is_let_in_alone(batcher):
    assert results([batcher.submit(Image("a", 21))]) == ["A"]


def test_measurements_take_their_turn_between_passes(batcher, device, hold, worker):
    """And what waits to be encoded does not fill the queue of measurements."""
    first = hold()
    waiting = [batcher.submit(Image(name, 4)) for name in "bc"]
    measured = worker.submit(lambda: device.passes.append("measured"))
    device.held.set()
    results([first, *waiting])
    measured.result(60)
    assert device.passes == ["a", "b", "measured", "c"]


def test_a_dead_worker_fails_all_waiters_at_once(batcher, device, hold, worker):
    device.failures["a"] = SystemExit()
    futures = [hold(), *(batcher.submit(Image(name, 4)) for name in "bc")]
    device.held.set()
    for future in futures:
        with pytest.raises(EncoderUnavailable, match="died"):
            future.result(60)
    with pytest.raises(EncoderUnavailable):
        batcher.submit(Image("d")).result(60)
    assert batcher.waiting == 0


def test_a_stop_fails_the_halves_that_were_still_to_run(batcher, device, hold, worker):
    """And their room is free again."""
    first = hold()
    halved = [batcher.submit(Image(name)) for name in "bc"]

    def stop_then_fail(_: object) -> None:
        worker.stop()
        raise ValueError("broken")

    batcher._launch = stop_then_fail
    device.held.set()
    assert results([first]) == ["A"]
    for future in halved:
        with pytest.raises(EncoderUnavailable, match=r"not running|stopping"):
            future.result(60)
    batcher.check_room(20)


def test_a_lost_device_fails_the_pass_whole_and_all_that_wait(batcher, device, hold, worker):
    """Its halves are not tried, as they would fail in the same way."""
    device.failures["c"] = DeviceLost("an illegal memory access")
    first = hold()
    futures = [batcher.submit(Image(name)) for name in "bcdef"]
    device.held.set()
    assert results([first]) == ["A"]
    for future in futures:
        with pytest.raises(EncoderUnavailable, match="an illegal memory access"):
            future.result(60)
    assert device.passes == ["a", "bcde"]
    until(lambda: worker.state == "dead")
    batcher.check_room(20)  # every place was given back


def test_a_worker_that_dies_of_other_work_fails_them_too(batcher, device, hold, worker):
    def die() -> None:
        raise SystemExit

    first = hold()
    worker.submit(die)
    waiting = batcher.submit(Image("b"))
    device.held.set()
    assert results([first]) == ["A"]
    with pytest.raises(EncoderUnavailable, match="died"):
        waiting.result(60)


def test_stopping_fails_what_waits_and_lets_the_pass_finish(batcher, device, hold, worker):
    first = hold()
    waiting = batcher.submit(Image("b"))
    worker.stop()
    with pytest.raises(EncoderUnavailable, match="stopping"):
        waiting.result(60)
    device.held.set()
    assert results([first]) == ["A"]


def test_a_pass_with_too_few_results_is_no_result_for_anyone(worker):
    batcher = Batcher(worker, lambda batch: Done([]), limit_crops=lambda: 4, queue_crops=20)
    with pytest.raises(ValueError, match="zip"):
        batcher.submit(Image("a")).result(60)


def test_a_policy_that_breaks_fails_its_waiters_and_not_the_worker(worker, device):
    limits = iter([0])  # then it has no more to say
    batcher = Batcher(worker, device, limit_crops=lambda: next(limits), queue_crops=20)
    assert results([batcher.submit(Image("a"))]) == ["A"]
    with pytest.raises(StopIteration):
        batcher.submit(Image("b")).result(60)
    assert worker.submit(lambda: 7).result(60) == 7


def test_nothing_is_lost_or_mixed_up_under_many_threads(worker):
    """Sixteen threads, some of which cancel: everyone hears back, and hears its own."""
    batcher = Batcher(
        worker,
        lambda batch: Done([image.name for image in batch]),
        limit_crops=lambda: 7,
        queue_crops=10_000,
    )
    wrong: list[str] = []

    def client(number: int) -> None:
        for turn in range(50):
            name = f"{number}/{turn}"
            future = batcher.submit(Image(name, 1 + turn % 5))
            if turn % 7 == 0:
                future.cancel()
            try:
                if future.result(60).result != name:
                    wrong.append(name)
            except CancelledError:
                pass

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert batcher.waiting == 0
    batcher.check_room(10_000)  # every place was given back
