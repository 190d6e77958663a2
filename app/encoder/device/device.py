"""The device an encoder runs on: choosing it, naming it, timing on it, calibrating it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from app.core.errors import EncoderUnavailable
from app.cores import available_cores
from app.encoder.device.choices import DeviceChoice, DtypeChoice
from app.encoder.device.memory import free_bytes
from app.encoder.runtimes.packed import PackedLinear, can_pack

Mark = float | torch.cuda.Event

TENSOR_CORES = (7, 0)
"""The first compute capability whose float16 products are faster than those of float32."""
CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
"""Sums of int8 products in 32 bits. Without them OpenVINO's sums saturate at 16 bits, and features
are off by a sixth."""
COPIED_BYTES = 2 * 2**30
"""Read, and as many written: in a millisecond on an H200, so that launching is none of it."""
ONE_CAPTURE = threading.Lock()
"""Held while a CUDA graph is captured: PyTorch allows one capture in a process at a time, and CUDA
none while the device is waited for."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(choice: DeviceChoice = "auto") -> torch.device:
    """CUDA where there is one, else the CPU.

    Raises:
        EncoderUnavailable: CUDA was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise EncoderUnavailable("device cuda was asked for, but torch finds none", actual="cpu")
    if choice == "cpu" or not available:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def choose_dtype(choice: DtypeChoice, device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the device multiplies it in hardware.

    Else float16 on a GPU that has tensor cores for it (V100, T4), and float32 anywhere else.
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
    """The model of the GPU, or of the CPU with the number of cores this process may use."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{_cpu_info('model name') or 'CPU'} ({available_cores()} cores)"


def dtype_name(dtype: torch.dtype) -> str:
    """``bfloat16``, not ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


def dtype_named(name: str) -> torch.dtype:
    """The inverse of :func:`dtype_name`, for the dtypes that an encoder computes in.

    Raises:
        KeyError: it is none of them.
    """
    return _DTYPES[name]


def forbid_tf32() -> None:
    """Let no product of float32 on CUDA be rounded to TF32's 10 bits, in this process."""
    # By the older of torch's two switches, which sets both: where they differ, reading one raises.
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def exact_float32() -> Iterator[None]:
    """:func:`forbid_tf32` for a while. Only products matter: the network has no convolution."""
    before = torch.backends.cuda.matmul.fp32_precision
    forbid_tf32()
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before == "tf32"
        torch.backends.cuda.matmul.fp32_precision = before


def multiplies_int8() -> bool:
    """Tell whether this CPU sums products of int8 without loss."""
    return not INT8_FLAGS.isdisjoint(_cpu_flags())


def _cpu_flags() -> list[str]:
    """The features of the CPU, which Linux calls ``flags``, on Arm ``Features``."""
    return f"{_cpu_info('flags')} {_cpu_info('Features')}".split()


def _cpu_info(field: str) -> str:
    """The first value of a field of Linux's description of the CPU; empty elsewhere."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == field), "")


def synchronise(device: torch.device) -> None:
    """Wait until everything given to the device is done. The CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def mark(device: torch.device) -> Mark:
    """A moment between two pieces of work on the device, for :func:`elapsed_ms`."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch
    event.record(torch.cuda.current_stream(device))
    return event


def elapsed_ms(start: Mark, end: Mark) -> float:
    """Ms between two marks; on CUDA only after :func:`synchronise`."""
    if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return float(start.elapsed_time(end))
    if isinstance(start, float) and isinstance(end, float):
        return (end - start) * 1e3
    raise TypeError("the two marks were made on different devices")


@torch.inference_mode()
def matmul_gflop_per_s(
    device: torch.device, dtype: torch.dtype, *, size: int | None = None, budget_s: float = 1.5
) -> float:
    """What the device reaches on one square product: the ceiling to hold an encoder's rate against.

    The best of up to ten products of normal noise; zeros would run faster on some hardware. On a
    CPU also of oneDNN's product, as the best library is not the same everywhere: on AMD's
    processors torch's own float32 product, which is MKL's, reaches half the rate of it.
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
    """What the device reaches copying its own memory, bytes read plus written; the best of ten."""
    size = _copied_bytes(device)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    best_ms = _best_ms(device, partial(target.copy_, source), budget_s=1.0)
    del source, target
    if device.type == "cuda":
        torch.cuda.empty_cache()  # gigabytes that nothing asks for again
    return 2 * size / best_ms / 1e6


def _copied_bytes(device: torch.device) -> int:
    """Far beyond what any cache holds (60 MB on an H200), where there is room for it."""
    if device.type != "cuda":
        return 64 * 2**20
    free = free_bytes(device)
    return COPIED_BYTES if free is None else min(COPIED_BYTES, free // 4)
