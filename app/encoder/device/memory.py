"""Memory of the device: what is free, and what a pass takes at its peak."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from app.core.errors import OutOfDeviceMemory

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
RESET_PEAK = "5"
DEFAULT_POOL = (0, 0)
"""The pool of all memory that was not allocated in a capture."""
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""What CUDA, the CPU's allocator and cuBLAS say where they raise a plain RuntimeError."""

T = TypeVar("T")


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated on the device; None if nothing tells.

    On CUDA that includes what torch holds and does not use, but not the pools of captured graphs.
    On a CPU it is what the machine has available, or a container's limit leaves, if that is less.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + held - graph_pool_bytes(device)
    told = linux_field(MEMINFO, "MemAvailable"), _cgroup_left()
    return min((left for left in told if left is not None), default=None)


def graph_pool_bytes(device: torch.device) -> int:
    """Bytes that captured CUDA graphs hold for what lies between their kernels.

    To torch they are reserved and not allocated, as the tensors of a capture are gone after it; yet
    no other work can have them (``PrivatePool`` in c10/cuda/CUDACachingAllocator.cpp).
    """
    try:
        segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]  # torch
    except RuntimeError:  # of the allocator cudaMallocAsync, where torch has no pools
        return 0
    index = torch.cuda.current_device() if device.index is None else device.index
    return sum(
        segment["total_size"] - segment["allocated_size"]
        for segment in segments
        if segment["device"] == index and tuple(segment["segment_pool_id"]) != DEFAULT_POOL
    )


def with_peak_bytes(device: torch.device, work: Callable[[], T]) -> tuple[T, int | None]:
    """Do some work: its result, and the most memory in use on the device, weights included.

    On CUDA what torch allocated and what captured graphs hold; on a CPU the resident memory of the
    process (Linux only). None if nothing tells.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        done = work()
        torch.cuda.synchronize(device)
        return done, int(torch.cuda.max_memory_allocated(device)) + graph_pool_bytes(device)
    reset = _reset_peak()
    done = work()
    return done, linux_field(STATUS, "VmHWM") if reset else None


def in_device_memory(work: Callable[[], T]) -> T:
    """What ``work`` returns.

    Raises:
        OutOfDeviceMemory: in place of what torch raises where memory ran out.
    """
    try:
        return work()
    except RuntimeError as error:
        reason = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            sign in reason for sign in OUT_OF_MEMORY
        ):
            raise
    # Only here, where torch's own error is gone: its frames hold the memory that is to be freed.
    raise OutOfDeviceMemory(f"the device's memory ran out: {reason}")


def check_fits(device: torch.device, crops: int, bytes_of: Callable[[int], int]) -> None:
    """Refuse a pass that would not fit, with the largest that would.

    Args:
        bytes_of: bytes that a pass over so many crops takes besides what is allocated already.

    Raises:
        OutOfDeviceMemory: with what is needed and what is free, in bytes.
    """
    needed = bytes_of(crops)
    free = _too_little(device, needed)
    if free is None:
        return
    fitting = next((fewer for fewer in range(crops - 1, 0, -1) if bytes_of(fewer) <= free), 0)
    what, more = f"a pass over {crops} crops", f"; {fitting} crops would fit"
    raise _too_large(what, needed, free, more, fitting_crops=fitting)


def check_room(device: torch.device, needed: int, what: str) -> None:
    """Refuse what would not fit, before any of it is allocated.

    Args:
        needed: bytes on the device.
        what: is named where it is refused.

    Raises:
        OutOfDeviceMemory: with what is needed and what is free, in bytes.
    """
    free = _too_little(device, needed)
    if free is not None:
        raise _too_large(what, needed, free)


def _too_little(device: torch.device, needed: int) -> int | None:
    """The free bytes if they are fewer than ``needed``, else None, also where nothing tells."""
    on_cuda = device.type == "cuda"
    if on_cuda and needed <= torch.cuda.mem_get_info(device)[0]:
        return None  # told in µs, where listing what torch holds takes a ms: this is in every batch
    free = free_bytes(device)
    if on_cuda and free is not None and needed > free:
        torch.cuda.empty_cache()  # the pools of graphs that are gone come free only so
        free = free_bytes(device)
    return None if free is None or needed <= free else free


def _too_large(
    what: str, needed: int, free: int, more: str = "", **facts: int
) -> OutOfDeviceMemory:
    return OutOfDeviceMemory(
        f"{what} would take about {needed / 1e6:,.0f} MB of the device's memory, "
        f"{free / 1e6:,.0f} MB are free{more}",
        limit=free,
        actual=needed,
        **facts,
    )


def give_back() -> None:
    """Return to the system what is no longer used of the device's and the host's memory.

    torch keeps freed memory of a GPU, and that of graphs that are gone serves nothing else. glibc
    keeps freed weights in its heap: 1 GB after an encoder in float32, which would count as taken
    wherever free memory is asked for. Other libraries return it by themselves.
    """
    gc.collect()
    torch.cuda.empty_cache()  # nothing where CUDA was never used
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
