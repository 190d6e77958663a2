from __future__ import annotations

import sys
from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from app.core.latency.profile import MachineState
from app.encoder.device import memory
from app.encoder.encoder import Encoder
from app.encoder.measuring import machine
from app.encoder.measuring.machine import MachineWatch, contention, gpu_state
from app.encoder.measuring.record import cpu_share, profile_key
from tests.encoder.reference import CPU

CUDA = torch.device("cuda", 0)
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


def test_steal_is_a_share_of_the_time_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds of a hundred since it began; a guest's time is not counted twice."""
    Times = namedtuple("Times", ["user", "idle", "steal", "guest"])
    told = iter([Times(100, 900, 50, 30), Times(150, 940, 60, 70)])
    monkeypatch.setattr(machine, "psutil", SimpleNamespace(cpu_times=lambda: next(told)))
    assert MachineWatch(CPU).after().steal_percent == pytest.approx(10)


def test_without_psutil_neither_steal_nor_memory_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bare machine is measured all the same."""
    monkeypatch.setattr(machine, "psutil", None)
    monkeypatch.setattr(memory, "psutil", None)
    after = MachineWatch(CPU).after()
    assert (after.steal_percent, after.memory_available_bytes) == (None, None)
    assert after.clock_probe_ms


@pytest.mark.parametrize("load", [0.4, 0.6])
def test_the_load_limit_is_half_a_core_for_each_core(
    monkeypatch: pytest.MonkeyPatch, load: float
) -> None:
    """The same load on more cores is no reason for doubt."""
    monkeypatch.setattr(machine, "available_cores", lambda: 16)
    reason = contention(replace(QUIET, load_1m=16 * load), QUIET)
    assert (reason is not None) == (load > 0.5)


class NVMLError(Exception):
    pass


def refuse(*_: object) -> None:
    raise NVMLError("not supported")


def old_driver() -> SimpleNamespace:
    """A driver of 2022, whose device tells no power limit."""
    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlSystemGetDriverVersion=lambda: "525.1",
        nvmlDeviceGetClockInfo=lambda handle, clock: {1: 1755, 2: 2619}[clock],
        nvmlDeviceGetMaxClockInfo=lambda handle, clock: {1: 1980}[clock],
        nvmlDeviceGetPowerUsage=lambda handle: 110_500,
        nvmlDeviceGetPowerManagementLimit=refuse,
        nvmlDeviceGetTemperature=lambda handle, sensor: 34 if handle == "GPU-1" else 0,
        nvmlDeviceGetCurrentClocksEventReasons=refuse,
        # Idle clocks, which are no throttling, and the power cap.
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x05,
    )


def no_driver() -> SimpleNamespace:
    return SimpleNamespace(NVMLError=NVMLError, nvmlInit=refuse)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1")
    )


@pytest.mark.usefixtures("card")
def test_a_gpu_is_read_from_what_its_driver_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers where there are some, None for what the device does not tell, reasons by name."""
    monkeypatch.setitem(sys.modules, "pynvml", old_driver())
    assert gpu_state(CUDA) == MachineState(
        driver="525.1",
        sm_clock_mhz=1755.0,
        sm_clock_max_mhz=1980.0,
        memory_clock_mhz=2619.0,
        power_w=110.5,
        power_limit_w=None,
        temperature_c=34.0,
        throttle=("sw_power_cap",),
    )


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("nvml", [None, no_driver()])
def test_without_nvml_or_driver_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, nvml: SimpleNamespace | None
) -> None:
    """A missing package or driver is no error."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert gpu_state(CUDA) == MachineState()
