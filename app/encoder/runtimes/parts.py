"""Compute the operations around the products of a block in several ways, for CUDA graphs.

On a GPU the products run near the matrix rate, and the rest of the time is memory traffic of the
operations between them. :mod:`app.encoder.runtimes.fastest` finds the fastest working way.
"""

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
    """Compute the first half of an MLP: product and activation."""

    @property
    def scale(self) -> float:
        """Return the factor for the results; the next product applies it."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Compute rows [M, D] → [M, mlp width]."""


AddProduct = Callable[[Tensor, Tensor, Tensor, float], None]
"""Adds ``scale · rows · weightᵀ`` to a float32 total: total [M, N], rows [M, K], weight [N, K]."""
Normalise = Callable[[Tensor, Tensor, nn.LayerNorm], Tensor]
"""Norms x + shift: x [M, D] and shift [D] in float32 → [M, D] in the dtype of the norm."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold one choice of the operations around the products of a block.

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
        """Return the name with the backend of attention, for logs and tables."""
        backend = "torch's choice" if self.attention is None else self.attention.name.lower()
        return f"{self.name}, {backend}"


def add_after(total: Tensor, rows: Tensor, weight: Tensor, scale: float) -> None:
    """Multiply first, with rounding to the factors' dtype, and then add: works everywhere."""
    total.add_(torch.mm(rows, weight.t()), alpha=scale)


def add_within(total: Tensor, rows: Tensor, weight: Tensor, scale: float) -> None:
    """Add within the product: nothing is rounded between, and nothing is written twice.

    torch's ``addmm`` needs an addend of the factors' dtype; its batched form reads ``out``.
    """
    if rows.dtype == total.dtype:
        total.addmm_(rows, weight.t(), alpha=scale)
    else:
        out = total[None]
        torch.baddbmm(out, rows[None], weight.t()[None], out.dtype, alpha=scale, out=out)


def normalise_plainly(x: Tensor, shift: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Norm by torch's operations: shift and rounding in one, then the norm of the rounded sum.

    A float16 norm gets the sum in float32, as the sum may overflow float16.
    """
    dtype = torch.float32 if norm.weight.dtype == torch.float16 else norm.weight.dtype
    shifted = torch.add(x, shift, out=torch.empty_like(x, dtype=dtype))
    normed: Tensor = norm(shifted)
    return normed


class UpPlainly:
    """Compute the half by torch's operations: quick_gelu(x) = silu(1.702 x) / 1.702.

    The products apply both factors before they round. So the activation is one operation in place,
    and the only additional rounding is that of the scaled bias.
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
    """Compute GELU by tanh in the epilogue of cuBLAS's product; cuBLAS has no quick-GELU."""

    scale = 1.0

    def __init__(self, mlp: Mlp) -> None:
        if mlp.activation != "gelu_tanh":
            raise NotImplementedError("cuBLAS has no quick-GELU")
        self._weight, self._bias = mlp.up.weight, mlp.up.bias

    def __call__(self, rows: Tensor) -> Tensor:
        return torch._addmm_activation(self._bias, rows, self._weight.t(), use_gelu=True)


class UpByKernel:
    """Compute product and activation by a kernel of our own.

    Args:
        kernel: :func:`app.encoder.runtimes.kernels.up` with a tile.
    """

    scale = 1.0

    def __init__(self, kernel: Callable[[Tensor, Tensor, Tensor, bool], Tensor], mlp: Mlp) -> None:
        self._kernel, self._quick = kernel, mlp.activation == "quick_gelu"
        self._weight, self._bias = mlp.up.weight, mlp.up.bias

    def __call__(self, rows: Tensor) -> Tensor:
        return self._kernel(rows, self._weight, self._bias, self._quick)


PLAIN = Parts("sum after", add_after, normalise_plainly, UpPlainly)
"""Works on every device of torch. Every other choice is compared with these parts."""
