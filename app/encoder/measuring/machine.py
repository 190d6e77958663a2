"""Measure the rates of the machine, read its state, and find reasons to doubt its figures.

The rates are those of a large product and of a large copy.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from app.core.latency.profile import MachineState
from app.cores import available_cores
from app.encoder.device.device import elapsed_ms, mark, synchronise
from app.encoder.device.memory import available_bytes, free_bytes
from app.encoder.runtimes.packed import PackedLinear, can_pack

try:
    import psutil
except ImportError:  # on a bare GPU machine
    psutil = None

COPIED_BYTES = 2 * 2**30
"""Bytes read, and as many written: a millisecond on an H200, much longer than a launch."""
PROBE_LOOPS, PROBE_REPEATS = 300_000, 5
AS_MEANT = {"sw_power_cap"}
"""Reasons to hold clocks down that spoil nothing: a GPU at work runs at its power limit."""
MOST_LOAD, MOST_STEAL_PERCENT, MOST_CLOCK_CHANGE, LEAST_CPU_SHARE = 0.5, 2.0, 0.1, 0.9
"""The limits of :func:`contention`. The load is per core, before the measurement."""
THROTTLING = {
    0x04: "sw_power_cap",
    0x08: "hw_slowdown",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
}
"""Bits of NVML's clock event reasons: each slows a device against its will."""


class MachineWatch:
    """Look at the machine at once, and again on request."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu_s = _cpu_seconds()
        self.before = _state(device, steal_percent=None)

    def after(self) -> MachineState:
        """Read the state now. ``steal_percent`` covers the time since the watch was made."""
        total, stolen = _cpu_seconds()
        spent = total - self._cpu_s[0]
        steal = 100 * (stolen - self._cpu_s[1]) / spent if spent > 0 else None
        return _state(self._device, steal_percent=steal)


def contention(
    before: MachineState, after: MachineState, *, cpu_share: float | None = None
) -> str | None:
    """Give the reasons to doubt figures measured between two states, or None.

    Args:
        cpu_share: CPU time per thread and second of the passes on a CPU. Threads with a core of
            their own spend all of their time, computing or spinning.
    """
    reasons: list[str] = []
    cores = available_cores()
    if before.load_1m is not None and before.load_1m > MOST_LOAD * cores:
        reasons.append(f"a load of {before.load_1m:.1f} on {cores} cores before it began")
    if after.steal_percent is not None and after.steal_percent > MOST_STEAL_PERCENT:
        reasons.append(f"{after.steal_percent:.1f} % of CPU time went to other machines")
    if before.clock_probe_ms and after.clock_probe_ms:
        change = after.clock_probe_ms / before.clock_probe_ms
        if not 1 - MOST_CLOCK_CHANGE <= change <= 1 + MOST_CLOCK_CHANGE:
            reasons.append(f"one core took {change:.2f} times as long after as before")
    if cpu_share is not None and cpu_share < LEAST_CPU_SHARE:
        reasons.append(f"the passes were given {cpu_share:.0%} of their threads' time")
    throttled = sorted({*before.throttle, *after.throttle} - AS_MEANT)
    if throttled:
        reasons.append(f"clocks were held down: {', '.join(throttled)}")
    return "; ".join(reasons) or None


def _state(device: torch.device, *, steal_percent: float | None) -> MachineState:
    state = gpu_state(device) if device.type == "cuda" else MachineState()
    return replace(
        state,
        load_1m=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        steal_percent=steal_percent,
        clock_probe_ms=_clock_probe_ms(),
        memory_available_bytes=available_bytes(),
    )


def _clock_probe_ms() -> float:
    """Time a fixed amount of scalar work: the best of some repeats, in ms."""
    best = float("inf")
    for _ in range(PROBE_REPEATS):
        started = time.perf_counter()
        sum(range(PROBE_LOOPS))
        best = min(best, time.perf_counter() - started)
    return best * 1e3


def _cpu_seconds() -> tuple[float, float]:
    """Give the time of all CPUs since boot, and the time stolen by the hypervisor, in s.

    Both are 0 without psutil.
    """
    if psutil is None:
        return 0.0, 0.0
    times = psutil.cpu_times()
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - guests, getattr(times, "steal", 0.0)  # user time includes the guests'


def gpu_state(device: torch.device) -> MachineState:
    """Read the state of a CUDA device from its driver, through NVML.

    Without nvidia-ml-py or a driver nothing is known: every field is None, and no reason to
    throttle is recorded. A field is None if the device does not support it.
    """
    try:
        import pynvml  # late: a CPU does without
    except ImportError:
        return MachineState()
    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            # By UUID: NVML's indices ignore CUDA_VISIBLE_DEVICES.
            uuid = torch.cuda.get_device_properties(device).uuid
            return _nvml_state(pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
        finally:
            pynvml.nvmlShutdown()
    return MachineState()


def _nvml_state(nvml: Any, handle: Any) -> MachineState:
    def read(function: Callable[..., Any], *arguments: int, per: float = 1.0) -> float | None:
        try:
            return float(function(handle, *arguments) / per)
        except nvml.NVMLError:
            return None

    reasons = read(nvml.nvmlDeviceGetCurrentClocksEventReasons)
    if reasons is None:  # drivers before 535 have the older name
        reasons = read(nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
    bits = int(reasons or 0)
    return MachineState(
        driver=nvml.nvmlSystemGetDriverVersion(),
        sm_clock_mhz=read(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
        sm_clock_max_mhz=read(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_SM),
        memory_clock_mhz=read(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
        power_w=read(nvml.nvmlDeviceGetPowerUsage, per=1e3),
        power_limit_w=read(nvml.nvmlDeviceGetPowerManagementLimit, per=1e3),
        temperature_c=read(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        throttle=tuple(name for bit, name in THROTTLING.items() if bits & bit),
    )


@torch.inference_mode()
def matmul_gflop_per_s(
    device: torch.device, dtype: torch.dtype, *, size: int | None = None, budget_s: float = 1.5
) -> float:
    """Measure the rate of one square product, a ceiling for the rate of an encoder.

    The best of up to ten products counts. The factors are normal noise, as zeros run faster on some
    hardware. A CPU also tries oneDNN's product, as no library is best everywhere: on AMD's
    processors torch's own float32 product, by MKL, reaches half the rate of oneDNN's.
    """
    side = size or (8192 if device.type == "cuda" else 2048)
    left = torch.randn(side, side, device=device).to(dtype)
    right = torch.randn(side, side, device=device).to(dtype)
    products: list[Callable[[], Tensor]] = [partial(torch.mm, left, right)]
    if device.type == "cpu" and can_pack(dtype):
        linear = nn.Linear(side, side, bias=False, device="meta")
        linear.weight = nn.Parameter(right, requires_grad=False)
        products.append(partial(PackedLinear(linear), left))
    best_ms = min(_best_ms(device, product, budget_s / len(products)) for product in products)
    return 2 * side**3 / best_ms / 1e6


def _best_ms(device: torch.device, product: Callable[[], object], budget_s: float) -> float:
    product()  # not timed: libraries choose and warm a kernel
    best_ms = float("inf")
    deadline = time.perf_counter() + budget_s
    for _ in range(10):
        synchronise(device)
        start = mark(device)
        product()
        end = mark(device)
        synchronise(device)
        best_ms = min(best_ms, elapsed_ms(start, end))
        if time.perf_counter() > deadline:
            break
    return best_ms


@torch.inference_mode()
def copy_gb_per_s(device: torch.device) -> float:
    """Measure a copy within the device's memory: read plus written bytes, the best of ten."""
    size = _copied_bytes(device)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    best_ms = _best_ms(device, partial(target.copy_, source), budget_s=1.0)
    del source, target
    if device.type == "cuda":
        torch.cuda.empty_cache()  # nothing asks for so large a block again
    return 2 * size / best_ms / 1e6


def _copied_bytes(device: torch.device) -> int:
    """Choose a size far beyond any cache (60 MB on an H200), and within the free memory."""
    if device.type != "cuda":
        return 64 * 2**20
    free = free_bytes(device)
    return COPIED_BYTES if free is None else min(COPIED_BYTES, free // 4)
