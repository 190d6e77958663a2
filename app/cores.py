"""How many cores this process may use: what it may run on, and what a container may spend."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Cores this process may run on; a container's share is often smaller than the machine."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _cpu_quota()
    return cores if quota is None else max(1, min(cores, ceil(quota)))


def _cpu_quota() -> float | None:
    """The cores' worth of time that a container is limited to (cgroup 2), None if to nothing."""
    try:
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # "max", or no such file
        return None
