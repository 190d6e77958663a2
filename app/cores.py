"""Count the cores for this process: by its affinity, and by a container's quota."""

import os
from math import ceil
from pathlib import Path

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return the number of cores for this process. A container may get fewer than the machine."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _cpu_quota()
    return cores if quota is None else max(1, min(cores, ceil(quota)))


def _cpu_quota() -> float | None:
    """Return the CPU time of a container per second of time (cgroup 2), None without a limit."""
    try:
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # "max", or no such file
        return None
