"""The state of the machine around a measurement, and whether it spoils the figures."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import torch

from app.core.latency.profile import MachineState
from app.cores import available_cores
from app.encoder.device.memory import MEMINFO, linux_field
from app.encoder.measuring.gpu_state import gpu_state

CPU_STAT = Path("/proc/stat")
PROBE_LOOPS, PROBE_REPEATS = 300_000, 5
AS_MEANT = {"sw_power_cap"}
"""Reasons to hold clocks down that spoil nothing: a GPU at work runs at its power limit."""
MOST_LOAD, MOST_STEAL_PERCENT, MOST_CLOCK_CHANGE, LEAST_CPU_SHARE = 0.5, 2.0, 0.1, 0.9


class MachineWatch:
    """Looks at the machine when it is made, and again when it is asked."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._jiffies = _cpu_jiffies()
        self.before = _state(device, steal_percent=None)

    def after(self) -> MachineState:
        """The state now; ``steal_percent`` is of the time since this was made."""
        total, stolen = _cpu_jiffies()
        spent = total - self._jiffies[0]
        steal = 100 * (stolen - self._jiffies[1]) / spent if spent > 0 else None
        return _state(self._device, steal_percent=steal)


def contention(
    before: MachineState, after: MachineState, *, cpu_share: float | None = None
) -> str | None:
    """Why figures measured between two states should be doubted, or None.

    ``cpu_share`` is CPU time per thread and second of the passes on a CPU: threads that are given
    their cores spend all of it, computing or spinning.
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
        memory_available_bytes=linux_field(MEMINFO, "MemAvailable"),
    )


def _clock_probe_ms() -> float:
    """A fixed amount of scalar work, the best of some."""
    best = float("inf")
    for _ in range(PROBE_REPEATS):
        started = time.perf_counter()
        sum(range(PROBE_LOOPS))
        best = min(best, time.perf_counter() - started)
    return best * 1e3


def _cpu_jiffies() -> tuple[int, int]:
    """All time of all CPUs since boot, and what the hypervisor stole of it; 0 elsewhere."""
    try:
        first = CPU_STAT.read_text(encoding="ascii").splitlines()[0].split()[1:9]
    except (OSError, IndexError):
        return 0, 0
    return sum(map(int, first)), int(first[7]) if len(first) > 7 else 0
