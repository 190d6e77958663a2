"""Memory of the device: what is free, and what a pass takes at its peak."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
RESET_PEAK = "5"


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on the device; None if nothing tells.

    On CUDA that includes what torch holds and does not use. On a CPU it is what the machine has
    available, or a container's limit leaves, if that is less.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + held
    told = [bytes_ for bytes_ in (linux_field(MEMINFO, "MemAvailable"), _cgroup_left()) if bytes_]
    return min(told, default=None)


def peak_bytes(device: torch.device, work: Callable[[], object]) -> int | None:
    """The most memory in use on the device during ``work``, weights included; None if unknown.

    On CUDA what torch allocated; on a CPU the resident memory of the process (Linux only).
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device))
    reset = _reset_peak()
    work()
    return linux_field(STATUS, "VmHWM") if reset else None


def _reset_peak() -> bool:
    try:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def linux_field(file: Path, name: str) -> int | None:
    """A field of one of Linux's lists of ``name: value kB``, in bytes."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = (line.split() for line in lines)
    return next((int(value[1]) * 1024 for value in values if value[0] == f"{name}:"), None)


def _cgroup_left() -> int | None:
    """What a container's limit leaves (cgroup 2); files it cached can be dropped, so they count."""
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        stat = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):  # "max", or no such file
        return None
    cached = next((int(line.split()[1]) for line in stat if line.startswith("inactive_file ")), 0)
    return max(0, limit - used + cached)
