from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import OutOfDeviceMemory
from app.core.profile import MachineState
from app.encoder import gpu_state, machine, memory
from app.encoder.encoder import Encoder
from app.encoder.machine import MachineWatch, contention
from app.encoder.memory import check_fits, free_bytes, peak_bytes
from app.encoder.recording import cpu_share, profile_key
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
        (QUIET, replace(QUIET, throttle=("sw_power_cap",)), None, "sw_power_cap"),
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
    cuda = replace(key, device_type="cuda")
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
    small, large = (peak_bytes(CPU, lambda size=size: bytearray(size)) for size in (1, 400 * 2**20))  # type: ignore[misc]  # bound early
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
