"""Each law of CUDA is broken once, and the make-believe device must tell it.

Run by tests/encoder/test_make_believe_gpu.py in a process of its own.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.support.fake_cuda.memory import MEMORY
from tests.support.fake_cuda.state import CARD, DEVICE, PROBLEMS, CudaError


@contextmanager
def told(part: str) -> Iterator[None]:
    """A problem with this in its text is told meanwhile, and none other; it is then forgotten."""
    before = len(PROBLEMS)
    yield
    new, PROBLEMS[before:] = PROBLEMS[before:], []
    assert len(new) == 1, new
    assert part in new[0]


def ones(*size: int) -> Tensor:
    return torch.ones(size, device=DEVICE)


def pinned(*size: int) -> Tensor:
    return torch.zeros(size, pin_memory=True)


class Captured:
    """A graph of some work, in a pool, after a run to warm up."""

    def __init__(self, work, pool=None, mode: str = "thread_local") -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, stream=stream, capture_error_mode=mode):
            self.out = work()

    def __call__(self) -> None:
        self.graph.replay()


# --- streams


def test_reading_what_another_stream_writes_is_a_race() -> None:
    x = ones(4)
    with told("race"), torch.cuda.stream(torch.cuda.Stream()):
        y = x + 1
    torch.cuda.synchronize()
    del y


def test_overwriting_what_another_stream_reads_is_a_race() -> None:
    x, side = ones(4), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = x + 1
    with told("overwrites"):
        x.zero_()
    torch.cuda.synchronize()
    del y


@pytest.mark.parametrize("way", ["stream", "event", "host", "query"])
def test_a_stream_that_waited_may_read(way: str) -> None:
    """By waiting for the stream or its event, or because the host has waited."""
    x, side = ones(4), torch.cuda.Stream()
    done = torch.cuda.current_stream().record_event(torch.cuda.Event(blocking=True))
    if way == "stream":
        side.wait_stream(torch.cuda.current_stream())
    elif way == "event":
        side.wait_event(done)
    elif way == "host":
        done.synchronize()
    else:
        assert not done.query()  # it is under way
        assert done.query()
    with torch.cuda.stream(side):
        y = x + 1
    torch.cuda.synchronize()
    assert y.cpu().tolist() == [2.0] * 4


def test_memory_that_another_stream_uses_must_not_be_freed() -> None:
    """Its next owner would write over it; `record_stream` keeps it."""
    for recorded in (False, True):
        x, side = ones(4), torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            y = x + 1
        if recorded:
            x.record_stream(side)
            del x
        else:
            with told("freed"):
                del x
        torch.cuda.synchronize()
        del y


def test_an_event_tells_no_time_before_it_was_waited_for() -> None:
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    for event in events:
        ones(4)
        event.record()
    with pytest.raises(RuntimeError, match="not ready"):
        events[0].elapsed_time(events[1])
    torch.cuda.synchronize()
    assert events[0].elapsed_time(events[1]) >= 0


def test_waiting_unawares_is_refused_where_torch_is_asked_to() -> None:
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchronizing"):
            ones(1).item()
    finally:
        torch.cuda.set_sync_debug_mode("default")


# --- copies


@pytest.mark.parametrize("read", [lambda host: host + 1, Tensor.numpy, Tensor.tolist])
def test_a_copy_to_the_host_must_be_waited_for(read) -> None:
    host = pinned(4)
    host.copy_(ones(4), non_blocking=True)
    with told("without waiting"):
        read(host)
    torch.cuda.synchronize()
    assert host.tolist() == [1.0] * 4


def test_what_is_read_before_its_copy_has_ended_is_garbage() -> None:
    """Also through an array that was taken before, which nobody can watch."""
    host = pinned(4)
    array = host.numpy()
    host.copy_(ones(4), non_blocking=True)
    copied = torch.cuda.current_stream().record_event()
    assert (array != array).all()
    copied.synchronize()
    assert (array == 1).all()


def test_an_event_of_before_the_copy_does_not_end_it() -> None:
    host, early = pinned(4), torch.cuda.Event()
    early.record()
    host.copy_(ones(4), non_blocking=True)
    early.synchronize()
    with told("without waiting"):
        host.tolist()
    torch.cuda.synchronize()


def test_pinned_memory_must_stay_until_its_copy_has_ended() -> None:
    host = pinned(4)
    copy = host.to(DEVICE, non_blocking=True)
    host.fill_(2)
    with told("overwritten"):
        torch.cuda.synchronize()
    host.fill_(3)
    assert copy.cpu().tolist() == [0.0] * 4


def test_tensors_of_two_devices_do_not_mix() -> None:
    with pytest.raises(RuntimeError, match="same device"):
        ones(4) + torch.ones(4)


# --- graphs


def test_a_graph_does_again_what_was_captured() -> None:
    """With what its input holds by then; the capture itself did nothing."""
    x, y = ones(4), ones(4)
    work = Captured(lambda: y.add_(x * 2))
    assert y.tolist() == [3.0] * 4  # of the run to warm up
    x.fill_(5)
    work()
    assert y.tolist() == [13.0] * 4


def test_what_a_graph_reads_must_live() -> None:
    inputs = [ones(4)]
    work = Captured(lambda: inputs[0] * 2)
    inputs.clear()
    with told("freed since its capture"), pytest.raises(CudaError, match="illegal memory"):
        work()


def test_what_lies_in_a_pool_is_gone_after_another_replay() -> None:
    x, pool = ones(4), torch.cuda.graph_pool_handle()
    first, second = Captured(lambda: x * 2, pool), Captured(lambda: x * 3, pool)
    first()
    assert first.out.tolist() == [2.0] * 4
    second()
    with told("no longer is that graph's"):
        found = first.out + 0
    assert found.isnan().all()


@pytest.mark.parametrize(
    "work",
    [
        lambda x: torch.cuda.synchronize(),
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x.copy_(torch.ones(4)),
        lambda x: torch.cuda.Event().synchronize(),
        lambda x: torch.zeros(4, pin_memory=True),
        lambda x: torch.zeros(4).pin_memory(),
        lambda x: torch.cuda.empty_cache(),
    ],
    ids=["synchronize", "item", "cpu", "pageable", "event", "pinning", "pin_memory", "empty_cache"],
)
def test_a_capture_forbids_to_wait_and_to_copy_what_can_be_paged(work) -> None:
    x, graph = ones(4), torch.cuda.CUDAGraph()
    with pytest.raises(CudaError, match="captur"), torch.cuda.graph(graph):
        work(x)
    with pytest.raises(RuntimeError, match="replay"):
        graph.replay()


def test_a_graph_must_not_be_collected_while_another_is_captured() -> None:
    x = ones(4)
    cycle: list[object] = [Captured(lambda: x * 2)]
    cycle.append(cycle)
    del cycle
    with told("destroyed while another is captured"):
        Captured(lambda: torch.cuda.is_current_stream_capturing() and gc.collect())


# --- memory, and what the card has


def test_memory_runs_out_where_the_card_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted in what is allocated, and comes back with what is freed."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    monkeypatch.setattr(CARD, "bytes", MEMORY.reserved + 2**20)
    x = ones(2**17)
    assert torch.cuda.memory_allocated() - before == 2**19
    with pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"):
        ones(2**18)
    del x
    assert torch.cuda.memory_allocated() == before
    assert torch.cuda.max_memory_allocated() >= before + 2**19
    assert ones(2**18) is not None


def test_a_graph_holds_its_pool_as_long_as_it_lives() -> None:
    """Reserved, not allocated, and given back by `empty_cache` alone."""
    x = ones(2**16)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    work = Captured(lambda: x * 2)
    work.out = None
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved() - before
    assert held >= 2**18
    del work
    assert torch.cuda.memory_reserved() - before == held
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == before


def test_bfloat16_is_in_hardware_from_ampere_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, has in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(CARD, "capability", capability)
        assert torch.cuda.is_bf16_supported(including_emulation=False) is has
        assert torch.cuda.is_bf16_supported()


def test_a_broken_context_stays_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    x = ones(4)
    monkeypatch.setattr(CARD, "broken", True)
    for call in (
        lambda: x + 1,
        lambda: x.cpu(),
        torch.cuda.synchronize,
        torch.cuda.mem_get_info,
        lambda: torch.cuda.Event().record(),
        lambda: torch.zeros(4).pin_memory(),
    ):
        for _ in range(2):
            with pytest.raises(CudaError, match="illegal memory access"):
                call()


# --- products and attention that only CUDA has


def test_a_product_of_16_bits_adds_to_a_float32_sum_in_a_graph() -> None:
    """In place, and rounded nowhere."""
    left = torch.randn(2, 3, 4, device=DEVICE).bfloat16()
    right = torch.randn(2, 4, 5, device=DEVICE).bfloat16()
    x = torch.zeros(2, 3, 5, device=DEVICE)
    work = Captured(lambda: torch.baddbmm(x, left, right, out_dtype=torch.float32, out=x))
    x.fill_(1)
    work()
    wanted = 1 + left.float() @ right.float()
    torch.testing.assert_close(x.cpu(), wanted.cpu(), rtol=1e-6, atol=1e-6)


def test_a_wide_product_takes_what_cuda_takes() -> None:
    narrow = ones(3, 3).bfloat16()
    assert torch.mm(narrow, narrow, out_dtype=torch.float32).dtype == torch.float32
    with pytest.raises(RuntimeError, match="out_dtype"):
        torch.mm(narrow, narrow, out_dtype=torch.float16)
    with pytest.raises(RuntimeError, match="must be the same"):
        torch.mm(narrow, narrow.half(), out_dtype=torch.float32)
    with told("older torch"):
        out, x = ones(1, 3, 3), ones(1, 3, 3)
        torch.baddbmm(x, narrow[None], narrow[None], out_dtype=torch.float32, out=out)


def test_attention_may_be_asked_for_by_its_kernel() -> None:
    x = torch.randn(1, 2, 3, 4, device=DEVICE)
    attention = torch.nn.functional.scaled_dot_product_attention
    with torch.inference_mode(), sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        found = attention(x, x, x).cpu()
    torch.testing.assert_close(found, attention(x.cpu(), x.cpu(), x.cpu()))
