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
"""Read, and as many written: in a millisecond on an H200, so that launching is none of it."""


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
