"""Compute the operations between and around the products of the network by Triton kernels.

Every sum is float32, and is rounded once, at its write. The import needs Triton. The first call
compiles, and needs a C compiler and a cache folder with the right to execute.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

WARPS = 4
COLUMNS = 1024
"""Values of a row in one program of an elementwise kernel."""

Tile = tuple[int, int, int, int, int]
"""Rows, outputs and inputs of one step of a product, its warps, and its stages of loading ahead."""
TILES: tuple[Tile, ...] = ((128, 256, 64, 8, 3), (128, 128, 64, 8, 4))
"""Candidates for the fastest tile of :func:`up`; rows and card decide."""


@triton.jit
def _norm_kernel(x, shift, weight, bias, out, width, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(x + row * width + at, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(shift + at, mask=inside, other=0.0)
    mean = tl.sum(value, 0) / width
    centred = tl.where(inside, value - mean, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 0) / width + eps)
    slope = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    offset = tl.load(bias + at, mask=inside, other=0.0).to(tl.float32)
    normed = centred * scale * slope + offset
    tl.store(out + row * width + at, normed.to(out.dtype.element_ty), mask=inside)


def norm(x: Tensor, shift: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Apply LayerNorm to ``x + shift``: x [M, D], shift [D] in float32 → [M, D] as the weight."""
    rows, width = x.shape
    out = torch.empty_like(x, dtype=weight.dtype)
    block = triton.next_power_of_2(width)
    _norm_kernel[(rows,)](x, shift, weight, bias, out, width, eps, BLOCK=block, num_warps=WARPS)
    return out


@triton.jit
def _up_kernel(
    x,
    weight,
    bias,
    out,
    M,
    N: tl.constexpr,
    K: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    INPUTS: tl.constexpr,
    GROUP: tl.constexpr,
    QUICK: tl.constexpr,
):
    # Consecutive programs share rows of both factors, so the rows are still in the cache.
    program = tl.program_id(0)
    down, across = tl.cdiv(M, ROWS), tl.cdiv(N, OUTPUTS)
    group = program // (GROUP * across)
    first = group * GROUP
    size = min(down - first, GROUP)
    row = first + (program % (GROUP * across)) % size
    column = (program % (GROUP * across)) // size
    m = row * ROWS + tl.arange(0, ROWS)
    n = column * OUTPUTS + tl.arange(0, OUTPUTS)
    k = tl.arange(0, INPUTS)
    left = x + (m % M)[:, None] * K + k[None, :]
    right = weight + (n % N)[None, :] * K + k[:, None]
    total = tl.zeros((ROWS, OUTPUTS), tl.float32)
    for start in range(0, K, INPUTS):
        if K % INPUTS == 0:
            total = tl.dot(tl.load(left), tl.load(right), total)
        else:
            inside = k < K - start
            a = tl.load(left, mask=inside[None, :], other=0.0)
            b = tl.load(right, mask=inside[:, None], other=0.0)
            total = tl.dot(a, b, total)
        left += INPUTS
        right += INPUTS
    total += tl.load(bias + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
    if QUICK:
        total = total * tl.sigmoid(1.702 * total)
    else:  # 2 · √(2 / π), as tanh is written as a sigmoid
        total = total * tl.sigmoid(1.5957691216057308 * (total + 0.044715 * total * total * total))
    at = out + m[:, None].to(tl.int64) * N + n[None, :]
    inside_out = (m < M)[:, None] & (n < N)[None, :]
    tl.store(at, total.to(out.dtype.element_ty), mask=inside_out)


def up(x: Tensor, weight: Tensor, bias: Tensor, quick: bool, *, tile: Tile) -> Tensor:
    """Compute GELU of ``x · weightᵀ + bias``, quick or by tanh: x [M, K], weight [N, K] → [M, N].

    The product is not rounded before the activation. 16-bit factors only: Triton multiplies
    float32 as TF32.
    """
    rows, inputs, outputs, warps, stages = tile
    out = x.new_empty(len(x), len(weight))
    programs = triton.cdiv(len(x), rows) * triton.cdiv(len(weight), outputs)
    _up_kernel[(programs,)](
        x,
        weight,
        bias,
        out,
        len(x),
        N=len(weight),
        K=weight.shape[1],
        ROWS=rows,
        OUTPUTS=outputs,
        INPUTS=inputs,
        GROUP=8,
        QUICK=quick,
        num_warps=warps,
        num_stages=stages,
    )
    return out


@triton.jit
def _gather_kernel(
    features,
    index,
    state,
    padding,
    windows,
    mean,
    width,
    WINDOW: tl.constexpr,
    PADDED: tl.constexpr,
    MASKED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    total = tl.zeros((BLOCK,), tl.float32)
    count = 0.0
    for patch in tl.static_range(WINDOW):
        where = tl.load(index + token * WINDOW + patch)
        there = where >= 0
        row = tl.where(there, where, 0)
        value = tl.load(features + row * width + at, mask=inside & there, other=0.0).to(tl.float32)
        if PADDED:
            told = tl.load(state + row)
            value += tl.load(padding + told * width + at, mask=inside & there, other=0.0).to(
                tl.float32
            )
        narrow = value.to(windows.dtype.element_ty)
        tl.store(windows + (token * WINDOW + patch) * width + at, narrow, mask=inside)
        total += narrow.to(tl.float32)
        count += tl.where(there, 1.0, 0.0)
    if not MASKED:
        count = WINDOW
    tl.store(mean + token * width + at, (total / count).to(mean.dtype.element_ty), mask=inside)


def gather(
    features: Tensor,
    pool_index: Tensor,
    padding_state: Tensor,
    padding_table: Tensor | None,
    *,
    masked: bool,
) -> tuple[Tensor, Tensor]:
    """Gather the patches of every window, and the mean of each window.

    Args:
        features: [C · P, F].
        pool_index: int64 [N, W], -1 for a missing patch; a missing patch counts as zeros.
        padding_state: int64 [C · P], the row of ``padding_table`` to add to a patch.
        padding_table: [3, F], or None for a family without padding embedding.
        masked: take the mean over the present patches instead of over W.

    Returns:
        Windows [N, W, F] and means [N, F], in the dtype of the features.
    """
    tokens, window = pool_index.shape
    width = features.shape[-1]
    windows = features.new_empty(tokens, window, width)
    mean = features.new_empty(tokens, width)
    _gather_kernel[(tokens, triton.cdiv(width, COLUMNS))](
        features,
        pool_index,
        padding_state,
        features if padding_table is None else padding_table,
        windows,
        mean,
        width,
        WINDOW=window,
        PADDED=padding_table is not None,
        MASKED=masked,
        BLOCK=COLUMNS,
        num_warps=WARPS,
    )
    return windows, mean


@triton.jit
def _pool_kernel(
    query,
    key_value,
    index,
    out,
    scale,
    HEADS: tl.constexpr,
    WINDOW: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    MASKED: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, HEADS)[:, None]
    at = tl.arange(0, BLOCK)[None, :]
    inside = at < WIDTH
    all_heads = HEADS * WIDTH
    one = head * WIDTH + at
    asked = tl.load(query + token * all_heads + one, mask=inside, other=0.0).to(tl.float32) * scale
    greatest = tl.full((HEADS, 1), -float("inf"), tl.float32)
    share = tl.zeros((HEADS, 1), tl.float32)
    mixed = tl.zeros((HEADS, BLOCK), tl.float32)
    for patch in tl.static_range(WINDOW):
        base = key_value + ((token * WINDOW + patch) * 2) * all_heads + one
        key = tl.load(base, mask=inside, other=0.0).to(tl.float32)
        score = tl.sum(asked * key, 1)[:, None]
        if MASKED:
            there = tl.load(index + token * WINDOW + patch) >= 0
            score = tl.where(there, score, -float("inf"))
        higher = tl.maximum(greatest, score)
        # Before the first patch -inf - -inf would be no number.
        keep = tl.where(higher == -float("inf"), 0.0, tl.exp(greatest - higher))
        new = tl.where(higher == -float("inf"), 0.0, tl.exp(score - higher))
        value = tl.load(base + all_heads, mask=inside, other=0.0).to(tl.float32)
        mixed = mixed * keep + new * value
        share = share * keep + new
        greatest = higher
    tl.store(out + token * all_heads + one, (mixed / share).to(out.dtype.element_ty), mask=inside)


def pool(query: Tensor, key_value: Tensor, pool_index: Tensor, heads: int, masked: bool) -> Tensor:
    """Attend with one query to the patches of its window: [N, D], [N, W, 2 · D] → [N, D].

    ``masked`` leaves out patches with a ``pool_index`` [N, W] of -1. ``heads`` is a power of two.
    """
    tokens, width = query.shape
    head_width = width // heads
    out = torch.empty_like(query)
    _pool_kernel[(tokens,)](
        query,
        key_value,
        pool_index,
        out,
        head_width**-0.5,
        HEADS=heads,
        WINDOW=key_value.shape[1],
        WIDTH=head_width,
        BLOCK=triton.next_power_of_2(head_width),
        MASKED=masked,
        num_warps=WARPS,
    )
    return out


@triton.jit
def _swiglu_kernel(both, out, hidden, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < hidden
    gate = tl.load(both + row * 2 * hidden + at, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(both + row * 2 * hidden + hidden + at, mask=inside, other=0.0).to(tl.float32)
    gated = gate * tl.sigmoid(gate) * value
    tl.store(out + row * hidden + at, gated.to(out.dtype.element_ty), mask=inside)


def swiglu(both: Tensor) -> Tensor:
    """Compute ``silu(gate) · up`` of both halves of a product: [N, 2 · hidden] → [N, hidden]."""
    rows, hidden = len(both), both.shape[1] // 2
    out = both.new_empty(rows, hidden)
    programs: Any = (rows, triton.cdiv(hidden, COLUMNS))
    _swiglu_kernel[programs](both, out, hidden, BLOCK=COLUMNS, num_warps=WARPS)
    return out
