"""Choose and name the device of an encoder, mark its time, and name its failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from app.core.errors import DeviceLost, EncoderUnavailable
from app.cores import available_cores
from app.encoder.device.choices import DeviceChoice, DtypeChoice
from app.encoder.device.memory import in_device_memory

T = TypeVar("T")
Mark = float | torch.cuda.Event
TENSOR_CORES = (7, 0)
"""The first compute capability with faster products in float16 than in float32."""
CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
"""A CPU with any of these flags sums int8 products in 32 bits. On other CPUs OpenVINO's sums
saturate at 16 bits, and features are off by a sixth."""
ONE_CAPTURE = threading.Lock()
"""Hold this lock to capture a CUDA graph, or to wait for the device. PyTorch allows one capture at
a time in a process, and CUDA allows no wait during a capture."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(choice: DeviceChoice = "auto") -> torch.device:
    """Choose CUDA if torch finds a GPU, else the CPU.

    Raises:
        EncoderUnavailable: the choice is CUDA, and torch finds no GPU.
    """
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise EncoderUnavailable("device cuda was asked for, but torch finds none", actual="cpu")
    if choice == "cpu" or not available:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def choose_dtype(choice: DtypeChoice, device: torch.device) -> torch.dtype:
    """Choose bfloat16 on a device with hardware for its products.

    The next choice is float16 on a GPU with tensor cores for float16 (V100, T4). All other devices
    compute in float32.
    """
    if choice != "auto":
        return _DTYPES[choice]
    if device.type != "cuda":
        return torch.float32 if BF16_FLAGS.isdisjoint(_cpu_flags()) else torch.bfloat16
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    tensor_cores = torch.cuda.get_device_capability(device) >= TENSOR_CORES
    return torch.float16 if tensor_cores else torch.float32


def device_name(device: torch.device) -> str:
    """Name the model of the GPU, or of the CPU with the number of cores for this process."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{_cpu_info('model name') or 'CPU'} ({available_cores()} cores)"


def dtype_name(dtype: torch.dtype) -> str:
    """Name a dtype as ``bfloat16``, not ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


def dtype_named(name: str) -> torch.dtype:
    """Return the dtype of a name: the inverse of :func:`dtype_name` for an encoder's dtypes.

    Raises:
        KeyError: no encoder computes in a dtype of this name.
    """
    return _DTYPES[name]


def forbid_tf32() -> None:
    """Forbid CUDA to round products of float32 to TF32's 10 bits, in this process."""
    # The older of torch's two switches sets both. Reading either raises if the two differ.
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def exact_float32() -> Iterator[None]:
    """Forbid TF32 for a while. Only products matter: the network has no convolution."""
    before = torch.backends.cuda.matmul.fp32_precision
    forbid_tf32()
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before == "tf32"
        torch.backends.cuda.matmul.fp32_precision = before


def multiplies_int8() -> bool:
    """Return True if this CPU sums products of int8 without loss."""
    return not INT8_FLAGS.isdisjoint(_cpu_flags())


def _cpu_flags() -> list[str]:
    """List the features of the CPU. Linux calls them ``flags``, on Arm ``Features``."""
    return f"{_cpu_info('flags')} {_cpu_info('Features')}".split()


def _cpu_info(field: str) -> str:
    """Read the first value of a field of ``/proc/cpuinfo``; empty on other systems."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == field), "")


def synchronise(device: torch.device) -> None:
    """Wait for all work given to the device. The CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def mark(device: torch.device) -> Mark:
    """Mark a moment between two pieces of work on the device, for :func:`elapsed_ms`."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch
    event.record(torch.cuda.current_stream(device))
    return event


def elapsed_ms(start: Mark, end: Mark) -> float:
    """Return the ms between two marks. On CUDA, call :func:`synchronise` before."""
    if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return float(start.elapsed_time(end))
    if isinstance(start, float) and isinstance(end, float):
        return (end - start) * 1e3
    raise TypeError("the two marks were made on different devices")


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
