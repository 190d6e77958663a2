"""Count the memory of a device, refuse work too large to fit, and name the device's failures."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from app.core.errors import DeviceLost, OutOfDeviceMemory
from app.encoder.device.device import ONE_CAPTURE, synchronise

try:
    import psutil
except ImportError:  # on a bare GPU machine
    psutil = None

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
CGROUP = Path("/sys/fs/cgroup")
RESET_PEAK = "5"
DEFAULT_POOL = (0, 0)
"""The pool of all memory from outside a capture."""
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Words of CUDA, of the CPU's allocator and of cuBLAS in a plain RuntimeError."""

T = TypeVar("T")


def free_bytes(device: torch.device) -> int | None:
    """Count the bytes still free for allocation on the device; None if nothing tells.

    On CUDA the count includes torch's unused reserve, but not the pools of captured graphs.
    On a CPU the count is the machine's available memory, or the rest of a container's limit, if
    the rest is less.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + held - graph_pool_bytes(device)
    told = available_bytes(), _cgroup_left()
    return min((left for left in told if left is not None), default=None)


def available_bytes() -> int | None:
    """Count the bytes of the machine's available memory; None without psutil."""
    return None if psutil is None else int(psutil.virtual_memory().available)


def graph_pool_bytes(device: torch.device) -> int:
    """Count the bytes of captured CUDA graphs for values between their kernels.

    torch calls the bytes reserved and not allocated, as the tensors of a capture are gone after the
    capture. Yet no other work can have the bytes (``PrivatePool`` in
    c10/cuda/CUDACachingAllocator.cpp).
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
    """Do some work, and find the most memory in use meanwhile, weights included.

    Returns:
        The result of the work, and bytes: on CUDA torch's allocations plus the pools of captured
        graphs, on a CPU the resident memory of the process (Linux only), else None.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        done = work()
        torch.cuda.synchronize(device)
        return done, int(torch.cuda.max_memory_allocated(device)) + graph_pool_bytes(device)
    reset = _reset_peak()
    done = work()
    return done, _peak_resident_bytes() if reset else None


def in_device_memory(work: Callable[[], T]) -> T:
    """Return the result of ``work``.

    Raises:
        OutOfDeviceMemory: in place of torch's own error, if memory ran out.
    """
    try:
        return work()
    except RuntimeError as error:
        reason = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            sign in reason for sign in OUT_OF_MEMORY
        ):
            raise
    # Only here, where torch's own error is gone: its frames hold the memory to be freed.
    raise OutOfDeviceMemory(f"the device's memory ran out: {reason}")


def on_device(device: torch.device, work: Callable[[], T]) -> T:
    """Return the result of ``work``, and raise failures of the device by their names.

    torch raises ``AcceleratorError`` (once ``RuntimeError``) for every refused call of CUDA
    (c10/cuda/CUDAException.cpp): for a broken context, but also for a lack of memory and for a
    wrong argument. The process survives the last two. After an illegal access, a failed assertion
    or a hardware error every later call of the process fails, too. So this function makes one more
    call to tell the cases apart.

    Raises:
        DeviceLost: the device takes no call any more.
        OutOfDeviceMemory: in place of torch's own error, if memory ran out.
    """
    try:
        return in_device_memory(work)
    except Exception as error:
        lost = _why_lost(device)
        if lost is None:
            raise
        told = dict.fromkeys((_first_line(error), _first_line(lost)))
        reason = "; then: ".join(told)
    # Only here, where torch's own error is gone: its frames hold the memory of the failed pass.
    raise DeviceLost(f"the device takes no call any more, only a new process can: {reason}")


def _why_lost(device: torch.device) -> RuntimeError | None:
    """Wait for the device, and return its error, or None if the device is well."""
    try:
        with ONE_CAPTURE:  # a wait would break another thread's capture
            synchronise(device)
    except RuntimeError as error:
        return error
    return None


def _first_line(error: Exception) -> str:
    """Return CUDA's own words, without torch's advice on debugging after them."""
    return str(error).partition("\n")[0] or repr(error)


def check_fits(device: torch.device, crops: int, bytes_of: Callable[[int], int]) -> None:
    """Refuse a pass too large for the free memory, and tell the largest fitting pass.

    Args:
        bytes_of: the bytes of a pass by its number of crops, besides the memory in use already.

    Raises:
        OutOfDeviceMemory: with the needed and the free bytes.
    """
    needed = bytes_of(crops)
    free = _too_little(device, needed)
    if free is not None:
        fitting = next((fewer for fewer in range(crops - 1, 0, -1) if bytes_of(fewer) <= free), 0)
        what, more = f"a pass over {crops} crops", f"; {fitting} crops would fit"
        raise _too_large(what, needed, free, more, fitting_crops=fitting)


def check_room(device: torch.device, needed: int, what: str) -> None:
    """Refuse an allocation too large for the free memory, before any of it is made.

    Args:
        needed: bytes on the device.
        what: the name of the allocation in the error.

    Raises:
        OutOfDeviceMemory: with the needed and the free bytes.
    """
    free = _too_little(device, needed)
    if free is not None:
        raise _too_large(what, needed, free)


def _too_little(device: torch.device, needed: int) -> int | None:
    """Return the free bytes if fewer than ``needed``, else None; None also if nothing tells."""
    on_cuda = device.type == "cuda"
    if on_cuda and needed <= torch.cuda.mem_get_info(device)[0]:
        return None  # every batch asks: this answer takes µs, a list of torch's memory a ms
    free = free_bytes(device)
    if on_cuda and free is not None and needed > free:
        torch.cuda.empty_cache()  # frees the pools of deleted graphs
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
    """Return unused memory of device and host to the system.

    torch keeps freed memory of a GPU and the memory of deleted graphs, of no use to others. glibc
    keeps freed weights in its heap: 1 GB after an encoder in float32, counted as taken in every
    later question for free memory.
    """
    gc.collect()
    torch.cuda.empty_cache()  # does nothing before the first use of CUDA
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset_peak() -> bool:
    try:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def _peak_resident_bytes() -> int | None:
    """Read the peak since the reset, in bytes. psutil has no such figure on Linux."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def _cgroup_left() -> int | None:
    """Count the bytes left of a container's limit (cgroup 2), None without a limit.

    Cached files count as free, as the system can drop them.
    """
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        stat = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):  # "max", or no such file
        return None
    cached = next((int(line.split()[1]) for line in stat if line.startswith("inactive_file ")), 0)
    return max(0, limit - used + cached)
