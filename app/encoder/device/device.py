"""Choose the device of an encoder, its dtype and its threads, and mark the device's time."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from app.core.errors import EncoderUnavailable
from app.cores import available_cores
from app.encoder.device import DeviceChoice, DtypeChoice

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
CLEARLY = 1.05
"""Fewer threads must be faster than all cores by this factor, so that noise does not decide."""
PROBE_ROUNDS = 10
PROBE_ROWS, PROBE_WIDTH = 577, 1024
"""The probe multiplies in a shape of the encoder: one crop into an MLP."""
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


def thread_candidates(cores: int) -> tuple[int, ...]:
    """List the numbers of threads to try: all cores, and half of them."""
    return tuple(sorted({cores, max(1, cores // 2)}, reverse=True))


def fastest_threads(seconds: Mapping[int, Sequence[float]]) -> int:
    """Return the most threads, unless fewer are clearly faster at their best.

    The best probe counts: other work on the machine only makes a probe slower.
    """
    best = {threads: min(probes) for threads, probes in seconds.items()}
    most = max(best)
    fastest = min(best, key=lambda threads: best[threads])
    return fastest if best[most] > CLEARLY * best[fastest] else most


def use_fastest_threads(dtype: torch.dtype, threads: int | None = None) -> int:
    """Set torch's threads for this process to ``threads``, or to the fastest number here."""
    if threads is None:
        left = torch.randn(PROBE_ROWS, PROBE_WIDTH).to(dtype)
        right = torch.randn(PROBE_WIDTH, 4 * PROBE_WIDTH).to(dtype)
        candidates = thread_candidates(available_cores())
        threads = fastest_threads(_probe(candidates, partial(torch.mm, left, right)))
    torch.set_num_threads(threads)
    return threads


def _probe(candidates: Sequence[int], work: Callable[[], object]) -> dict[int, list[float]]:
    """Time ``work`` with each number of threads, in rounds after a first uncounted round, in s."""
    seconds: dict[int, list[float]] = {threads: [] for threads in candidates}
    for number in range(PROBE_ROUNDS + 1):
        for threads, probes in seconds.items():
            torch.set_num_threads(threads)
            started = time.perf_counter()
            work()
            if number:
                probes.append(time.perf_counter() - started)
    return seconds
