"""Ways to do the operations around the products of a block, for a pass that a CUDA graph holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend

from app.encoder.network.backbone import (
    QUICK_GELU,
    Mlp,
)

ATTENTION_BACKENDS = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
)


class Up(Protocol):
    """The first half of an MLP: product and activation."""

    @property
    def scale(self) -> float:
        """The factor that its results are to be multiplied with; the next product does it."""

    def __call__(self, rows: Tensor) -> Tensor:
        """[M, D] → [M, mlp width]."""


AddProduct = Callable[[Tensor, Tensor, Tensor, float], None]
"""Adds ``scale · rows · weightᵀ`` to a float32 total: total [M, N], rows [M, K], weight [N, K]."""
Normalise = Callable[[Tensor, Tensor, nn.LayerNorm], Tensor]
"""LayerNorm of x + shift: x [M, D] and shift [D] in float32 → [M, D] in the dtype of the norm."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One choice of how to do what lies around the products of a block.

    Attributes:
        attention: the backend of torch's attention; None leaves the choice to torch.
    """

    name: str
    add_product: AddProduct
    normalise: Normalise
    make_up: Callable[[Mlp], Up]
    attention: SDPBackend | None = None

    @property
    def label(self) -> str:
        """The name with the attention's backend, for logs and tables."""
        backend = "torch's choice" if self.attention is None else self.attention.name.lower()
        return f"{self.name}, {backend}"


def add_after(total: Tensor, rows: Tensor, weight: Tensor, scale: float) -> None:
    """The product first, rounded to its dtype, and then the sum: works everywhere."""
    total.add_(torch.mm(rows, weight.t()), alpha=scale)


def add_within(total: Tensor, rows: Tensor, weight: Tensor, scale: float) -> None:
    """As the product's own addend: nothing is rounded between, and nothing is written twice.

    torch's ``addmm`` wants an addend of the factors' dtype; its batched form reads ``out``.
    """
    if rows.dtype == total.dtype:
        total.addmm_(rows, weight.t(), alpha=scale)
    else:
        out = total[None]
        torch.baddbmm(out, rows[None], weight.t()[None], out.dtype, alpha=scale, out=out)


def normalise_plainly(x: Tensor, shift: Tensor, norm: nn.LayerNorm) -> Tensor:
    """By torch's operations: shift and rounding in one, then the norm of the rounded sum.

    Not rounded is what float16 might not hold.
    """
    dtype = torch.float32 if norm.weight.dtype == torch.float16 else norm.weight.dtype
    shifted = torch.add(x, shift, out=torch.empty_like(x, dtype=dtype))
    normed: Tensor = norm(shifted)
    return normed


class UpPlainly:
    """By torch's operations. quick_gelu(x) = silu(1.702 x) / 1.702, both factors in the products.

    They are applied before a product is rounded, so that the activation is one operation which
    overwrites its input, and nothing is rounded that would not be otherwise but the scaled bias.
    """

    def __init__(self, mlp: Mlp) -> None:
        self._quick = mlp.activation == "quick_gelu"
        slope = QUICK_GELU if self._quick else 1.0
        self.scale = 1 / slope
        self._slope, self._weight, self._bias = slope, mlp.up.weight, mlp.up.bias * slope

    def __call__(self, rows: Tensor) -> Tensor:
        up = torch.addmm(self._bias, rows, self._weight.t(), alpha=self._slope)
        if self._quick:
            return functional.silu(up, inplace=True)
        return functional.gelu(up, approximate="tanh")


class UpWithin:
    """GELU by tanh as the product's own epilogue, which cuBLAS has; quick-GELU it has not."""

    scale = 1.0

    def __init__(self, mlp: Mlp) -> None:
        if mlp.activation != "gelu_tanh":
            raise NotImplementedError("cuBLAS has no quick-GELU")
        self._weight, self._bias = mlp.up.weight, mlp.up.bias

    def __call__(self, rows: Tensor) -> Tensor:
        return torch._addmm_activation(self._bias, rows, self._weight.t(), use_gelu=True)


class UpByKernel:
    """Product and activation by a kernel of our own.

    Args:
        kernel: :func:`app.encoder.runtimes.kernels.up`, with a tile.
    """

    scale = 1.0

    def __init__(self, kernel: Callable[[Tensor, Tensor, Tensor, bool], Tensor], mlp: Mlp) -> None:
        self._kernel, self._quick = kernel, mlp.activation == "quick_gelu"
        self._weight, self._bias = mlp.up.weight, mlp.up.bias

    def __call__(self, rows: Tensor) -> Tensor:
        return self._kernel(rows, self._weight, self._bias, self._quick)


PLAIN = Parts("sum after", add_after, normalise_plainly, UpPlainly)
"""Works wherever torch does: what every other choice is compared with."""
