"""Calibrate a device: measure the rates of a large product and of a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from app.encoder.device.device import elapsed_ms, mark, synchronise
from app.encoder.device.memory import free_bytes
from app.encoder.runtimes.packed import PackedLinear, can_pack

COPIED_BYTES = 2 * 2**30
"""Bytes read, and as many written: a millisecond on an H200, much longer than a launch."""


@torch.inference_mode()
def matmul_gflop_per_s(
    device: torch.device, dtype: torch.dtype, *, size: int | None = None, budget_s: float = 1.5
) -> float:
    """Measure the rate of one square product, a ceiling for the rate of an encoder.

    The best of up to ten products counts. The factors are normal noise, as zeros run faster on some
    hardware. A CPU also tries oneDNN's product, as no library is best everywhere: on AMD's
    processors torch's own float32 product, by MKL, reaches half the rate of oneDNN's.
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
    """Measure a copy within the device's memory: read plus written bytes, the best of ten."""
    size = _copied_bytes(device)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    best_ms = _best_ms(device, partial(target.copy_, source), budget_s=1.0)
    del source, target
    if device.type == "cuda":
        torch.cuda.empty_cache()  # nothing asks for so large a block again
    return 2 * size / best_ms / 1e6


def _copied_bytes(device: torch.device) -> int:
    """Choose a size far beyond any cache (60 MB on an H200), and within the free memory."""
    if device.type != "cuda":
        return 64 * 2**20
    free = free_bytes(device)
    return COPIED_BYTES if free is None else min(COPIED_BYTES, free // 4)
