from __future__ import annotations

from pathlib import Path

import pytest
import torch

from app.core.errors import OutOfDeviceMemory
from app.encoder.device import memory
from app.encoder.device.memory import check_fits, free_bytes, give_back, with_peak_bytes
from tests.encoder.reference import CPU

CUDA = torch.device("cuda", 0)


def test_a_peak_is_at_least_what_was_used() -> None:
    """Memory that is gone again by the end is seen."""
    give_back()  # what other tests left in the heap would be used again, unseen
    (one, small), (many, large) = (
        with_peak_bytes(CPU, lambda size=size: len(bytearray(size)))  # type: ignore[misc]  # bound early
        for size in (1, 400 * 2**20)
    )
    assert (one, many) == (1, 400 * 2**20)
    if small is None or large is None:
        pytest.skip("this kernel does not let a process reset its peak")
    assert large - small > 300 * 2**20


def test_a_container_has_the_memory_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its limit less what it uses; cached files can be dropped."""
    for name, text in {
        "memory.max": "1000",
        "memory.current": "700",
        "memory.stat": "anon 500\ninactive_file 100\n",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_bytes(CPU) == 400


def test_what_would_not_fit_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is tried, and with the largest that would fit."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 4_000_000)
    check_fits(CPU, 4, lambda crops: crops * 10**6)
    with pytest.raises(OutOfDeviceMemory, match=r"7 MB .* 4 MB are free; 4 crops") as refused:
        check_fits(CPU, 7, lambda crops: crops * 10**6)
    assert refused.value.facts["fitting_crops"] == 4
    with pytest.raises(OutOfDeviceMemory, match="4 crops would fit"):
        check_fits(CPU, 5, lambda crops: crops * 10**6)


def test_a_device_that_tells_nothing_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Admission is no reason to fail where the memory cannot be read."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    check_fits(CPU, 10**6, lambda crops: crops * 10**9)


def test_linux_tells_a_peak_in_kib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("VmPeak:\t 9000 kB\nVmHWM:\t 1000 kB\nVmRSS:\t 900 kB\n")
    monkeypatch.setattr(memory, "STATUS", status)
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "clear_refs")
    assert with_peak_bytes(CPU, lambda: 7) == (7, 1000 * 1024)


def test_a_full_container_has_nothing_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None left is not the same as none told: the machine's own memory is out of its reach."""
    for name, text in {"memory.max": "700", "memory.current": "700", "memory.stat": ""}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_bytes(CPU) == 0


class FakeCuda:
    """A GPU's memory as torch tells of it: a graph's pool is reserved, never allocated.

    ``dead_pool`` is the pool of a graph that is gone: it comes free when the cache is emptied.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.driver_free, self.allocated, self.cached, self.pool, self.dead_pool = 100, 40, 10, 7, 0
        self.peak, self.emptied, self.listed = 45, 0, 0
        told = {
            "mem_get_info": lambda device: (self.driver_free, 1000),
            "memory_allocated": lambda device: self.allocated,
            "memory_reserved": lambda device: (
                self.allocated + self.cached + self.pool + self.dead_pool
            ),
            "memory_snapshot": self.memory_snapshot,
            "max_memory_allocated": lambda device: self.peak,
            "synchronize": lambda device: None,
            "reset_peak_memory_stats": lambda device: None,
            "empty_cache": self.empty_cache,
        }
        for name, answer in told.items():
            monkeypatch.setattr(torch.cuda, name, answer)

    def memory_snapshot(self) -> list[dict[str, object]]:
        self.listed += 1

        def segment(device: int, pool: tuple[int, int], total: int, used: int) -> dict[str, object]:
            return {
                "device": device,
                "segment_pool_id": pool,
                "total_size": total,
                "allocated_size": used,
            }

        in_use = segment(0, (0, 0), self.allocated + self.cached, self.allocated)
        pools = [segment(0, (0, 1), self.pool, 0), segment(0, (0, 2), self.dead_pool, 0)]
        return [in_use, *pools, segment(1, (0, 3), 500, 0)]

    def empty_cache(self) -> None:
        self.emptied += 1
        self.driver_free += self.cached + self.dead_pool
        self.cached = self.dead_pool = 0


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


def test_the_pools_of_graphs_are_not_free(cuda: FakeCuda) -> None:
    """Nothing else can use them, though they are not allocated; other devices' do not count."""
    assert free_bytes(CUDA) == 100 + 10


def test_the_pools_of_graphs_are_in_the_peak(cuda: FakeCuda) -> None:
    """They are in use as long as the graphs are."""
    assert with_peak_bytes(CUDA, lambda: "done") == ("done", 45 + 7)


def test_an_allocator_without_pools_has_none(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA's own asynchronous allocator refuses to list what it holds."""

    def refuse() -> None:
        raise RuntimeError("Calling snapshot with backend:cudaMallocAsync is not meaningful.")

    monkeypatch.setattr(torch.cuda, "memory_snapshot", refuse)
    assert free_bytes(CUDA) == 100 + 10 + 7


def test_what_fits_the_free_memory_is_let_through_at_once(cuda: FakeCuda) -> None:
    """Without listing what torch holds, which takes longer than launching a pass."""
    check_fits(CUDA, 100, lambda crops: crops)
    assert cuda.listed == cuda.emptied == 0
    check_fits(CUDA, 110, lambda crops: crops)
    assert cuda.listed == 1
    assert cuda.emptied == 0


def test_memory_is_given_back_before_anything_is_refused(cuda: FakeCuda) -> None:
    """The pools of graphs that are gone make room; what still does not fit is refused."""
    cuda.dead_pool = 20
    check_fits(CUDA, 125, lambda crops: crops)
    assert cuda.emptied == 1
    with pytest.raises(OutOfDeviceMemory) as refused:
        check_fits(CUDA, 140, lambda crops: crops)
    assert refused.value.facts["limit"] == 100 + 10 + 20
    assert refused.value.facts["fitting_crops"] == 130


def test_giving_memory_back_empties_the_devices_cache(cuda: FakeCuda) -> None:
    """What a second encoder took is free for others on the device, too."""
    cuda.dead_pool = 20
    give_back()
    assert cuda.driver_free == 100 + 10 + 20
