"""The state of a GPU, from the tool that comes with its driver."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import torch

from app.core.latency.profile import MachineState

SMI_TIMEOUT_S = 10
SMI_NUMBERS = (
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "power.draw",
    "power.limit",
    "temperature.gpu",
)
THROTTLING = {
    0x04: "sw_power_cap",
    0x08: "hw_slowdown",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
}
"""Bits of NVML's clock event reasons that slow a device against its will."""


def gpu_state(device: torch.device) -> MachineState:
    """What nvidia-smi tells of a CUDA device; it comes with the driver."""
    which = _uuid(device)
    answer = _smi(which, ("driver_version", *SMI_NUMBERS))
    if answer is None:
        return MachineState()
    driver, *rest = answer
    clock, clock_max, memory, power, limit, temperature = map(_number, rest)
    return MachineState(
        driver=driver,
        sm_clock_mhz=clock,
        sm_clock_max_mhz=clock_max,
        memory_clock_mhz=memory,
        power_w=power,
        power_limit_w=limit,
        temperature_c=temperature,
        throttle=_throttle(which),
    )


def _throttle(which: str) -> tuple[str, ...]:
    # Drivers before 535 know the reasons under another name.
    for field in ("clocks_event_reasons.active", "clocks_throttle_reasons.active"):
        answer = _smi(which, (field,))
        if answer is not None:
            try:
                bits = int(answer[0], 16)
            except ValueError:
                return ()
            return tuple(name for bit, name in THROTTLING.items() if bits & bit)
    return ()


def _uuid(device: torch.device) -> str:
    """Which device nvidia-smi should tell of; its own numbers ignore CUDA_VISIBLE_DEVICES."""
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return f"GPU-{uuid}" if uuid is not None else str(device.index or 0)


def _smi(which: str, fields: Sequence[str]) -> list[str] | None:
    command = ["nvidia-smi", "-i", which, f"--query-gpu={','.join(fields)}"]
    try:
        done = subprocess.run(
            [*command, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=SMI_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    values = [value.strip() for value in done.stdout.strip().split(",")]
    return values if len(values) == len(fields) else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None
