from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.core.errors import OutOfDeviceMemory
from app.core.latency.profile import MachineState
from app.encoder.device import device as devices
from app.encoder.device import memory
from app.encoder.device.memory import check_fits, free_bytes, give_back, with_peak_bytes
from app.encoder.encoder import Encoder
from app.encoder.measuring import gpu_state, machine
from app.encoder.measuring.machine import MachineWatch, contention
from app.encoder.measuring.record import cpu_share, profile_key
from tests.encoder.reference import CPU

QUIET = MachineState(load_1m=0.1, steal_percent=0.0, clock_probe_ms=4.0)


@pytest.mark.parametrize(
    ("before", "after", "cpu_share", "told"),
    [
        (QUIET, QUIET, 0.99, None),
        (replace(QUIET, load_1m=900.0), QUIET, None, "a load of 900.0"),
        (QUIET, replace(QUIET, steal_percent=7.5), None, "7.5 % of CPU time"),
        (QUIET, replace(QUIET, clock_probe_ms=5.0), None, "1.25 times as long"),
        (QUIET, QUIET, 0.7, "70%"),
        (QUIET, replace(QUIET, throttle=("hw_slowdown",)), None, "hw_slowdown"),
        (QUIET, replace(QUIET, throttle=("sw_power_cap",)), None, None),
        (MachineState(), MachineState(), None, None),
    ],
)
def test_a_spoiled_measurement_says_so(
    before: MachineState, after: MachineState, cpu_share: float | None, told: str | None
) -> None:
    """With the figure that speaks against it; a machine that tells nothing is not accused."""
    reason = contention(before, after, cpu_share=cpu_share)
    assert (reason is None) == (told is None)
    assert told is None or told in str(reason)


def test_the_cpu_share_is_of_the_threads_of_a_cpu(tiny_encoder: Encoder) -> None:
    """Two threads that had one core were given half; of a GPU's passes it would say nothing."""
    key = replace(profile_key(tiny_encoder), threads=2)
    assert cpu_share(key, spent_ms=100.0, wall_ms=100.0) == 0.5
    assert cpu_share(key, spent_ms=0.0, wall_ms=0.0) is None
    cuda = replace(key, device_type="cuda", threads=None)
    assert cpu_share(cuda, spent_ms=100.0, wall_ms=100.0) is None


def test_the_machine_is_looked_at_before_and_after() -> None:
    """What Linux tells is there; steal belongs to the time between."""
    watch = MachineWatch(CPU)
    after = watch.after()
    assert watch.before.clock_probe_ms
    assert watch.before.steal_percent is None
    assert after.load_1m is not None
    assert after.steal_percent is None or 0 <= after.steal_percent <= 100


def test_steal_is_a_share_of_the_time_between(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A tenth of the jiffies since it began."""
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 0 0 900 0 0 0 50 0 0\n")
    monkeypatch.setattr(machine, "CPU_STAT", stat)
    watch = MachineWatch(CPU)
    stat.write_text("cpu 150 0 0 940 0 0 0 60 0 0\n")
    assert watch.after().steal_percent == pytest.approx(10)


def test_a_gpu_is_read_from_what_nvidia_smi_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers where there are some, None for what the device does not tell, reasons by name."""
    told = {
        "driver_version": "570.1, 1755, 1980, 2619, 110.50, [N/A], 34",
        "clocks_event_reasons.active": None,
        "clocks_throttle_reasons.active": "0x0000000000000005",
    }

    def smi(which: str, fields: tuple[str, ...]) -> list[str] | None:
        line = told[fields[0]]
        return None if line is None else line.split(", ")

    monkeypatch.setattr(gpu_state, "_uuid", lambda device: "GPU-1")
    monkeypatch.setattr(gpu_state, "_smi", smi)
    state = gpu_state.gpu_state(CPU)
    assert (state.driver, state.sm_clock_mhz, state.power_limit_w) == ("570.1", 1755.0, None)
    assert state.throttle == ("sw_power_cap",)  # idle clocks are no throttling


def test_without_nvidia_smi_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing tool is no error."""
    monkeypatch.setattr(gpu_state, "_uuid", lambda device: "0")
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu_state.gpu_state(CPU) == MachineState()


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


def test_a_device_that_tells_nothing_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Admission is no reason to fail where the memory cannot be read."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    check_fits(CPU, 10**6, lambda crops: crops * 10**9)


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


CUDA = torch.device("cuda", 0)


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


def test_the_copy_of_a_gpu_is_larger_than_its_caches(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two GiB, or a quarter of what is free on a small card; and the memory is given back."""
    copied: list[int] = []
    small = torch.ones

    def ones(size: int, *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        copied.append(size)
        return small(8, dtype=dtype)

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(devices, "_best_ms", lambda device, copy, budget_s: 2.0)
    for free, wanted in ((100 * 2**30, 2 * 2**30), (6 * 2**30, 1.5 * 2**30)):
        cuda.driver_free, cuda.cached = free, 0
        assert devices.copy_gb_per_s(CUDA) == pytest.approx(2 * wanted / 2.0 / 1e6)
        assert copied[-1] == wanted
    assert cuda.emptied == 2
