"""The vision transformer as a CUDA graph can hold it, made of parts that can be done in many ways.

On a GPU the products run near the matrix rate, and what is left is the traffic of the operations
between them. So the sum that blocks add to is kept in float32 and added to by the products
themselves, and their biases are not: a norm takes the sum of all biases before it as a shift. What
each part costs on a device, and whether it works there, is found out when graphs are captured:
:mod:`app.encoder.runtimes.graphs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from app.encoder.network.backbone import (
    QUICK_GELU,
    Block,
    Mlp,
    SelfAttention,
    VisionBackbone,
    VisionTransformer,
)
from app.encoder.runtimes.parts import keep_features

ATTENTION_BACKENDS = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
)


class VitPass(Protocol):
    """A way to run the vision transformer."""

    @property
    def name(self) -> str:
        """The parts it is made of, for logs and tables."""

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        """Patches [C, P, 588] in the dtype of the weights → features, written [C, P, F]."""


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


class PartsPass:
    """The vision transformer by one choice of :class:`Parts`, with the sum in float32.

    The sum lacks the biases of the products added to it; ``shift`` holds them, block by block, so
    that a norm or a feature adds them where it reads the sum.
    """

    def __init__(self, backbone: VisionBackbone, parts: Parts) -> None:
        vit = backbone.vit
        self.name = parts.label
        self._vit, self._add_product = vit, parts.add_product
        self._first_patch = 1 if backbone.class_token else 0
        shift = torch.zeros_like(vit.positional_embedding[0], dtype=torch.float32)
        self._blocks: list[_BlockPass] = []
        with torch.inference_mode():
            for block in _blocks(vit):
                self._blocks.append(_BlockPass(block, shift, parts))
                shift = self._blocks[-1].shift_after

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        x = self._vit.embed(patches).float()
        crops, tokens, width = x.shape
        total = x.flatten(0, 1)
        for index, block in enumerate(self._blocks):
            block.add_to(total, crops)
            if index in self._vit.feature_layers:
                found = total.view(crops, tokens, width)[:, self._first_patch :]
                at = self._vit.feature_layers.index(index) * width
                torch.add(found, block.shift_after, out=into[..., at : at + width])


class _BlockPass:
    """A block that adds to the sum [C · T, D] in place, but for its biases."""

    def __init__(self, block: Block, shift: Tensor, parts: Parts) -> None:
        self._block, self._parts = block, parts
        self._up = parts.make_up(block.mlp)
        self._shift = shift
        self._shift_within = shift + block.attention.out.bias.float()
        self.shift_after = self._shift_within + block.mlp.down.bias.float()

    def add_to(self, total: Tensor, crops: int) -> None:
        block, parts = self._block, self._parts
        attention, down = block.attention, block.mlp.down
        rows = parts.normalise(total, self._shift, block.attention_norm)
        mixed = _mix(attention, rows.view(crops, -1, rows.shape[-1]), parts.attention)
        parts.add_product(total, mixed, attention.out.weight, 1.0)
        hidden = self._up(parts.normalise(total, self._shift_within, block.mlp_norm))
        parts.add_product(total, hidden, down.weight, self._up.scale)


def _mix(attention: SelfAttention, x: Tensor, backend: SDPBackend | None) -> Tensor:
    """Attention without the product behind it: [C, T, D] → [C · T, D]."""
    qkv = attention.qkv(x).unflatten(-1, (3, attention.heads, -1))
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    with nullcontext() if backend is None else sdpa_kernel(backend):
        mixed = functional.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).flatten(2).flatten(0, 1)


class CompiledPass:
    """Each block as torch.compile makes it: what lies between two products becomes one kernel.

    The sum that blocks add to is kept in float32, which is nearly free where norms read it anyway.
    The blocks are compiled once for all of them and for every number of crops above one, and once
    for one crop: far below torch's limit on recompiling, past which it would silently run eager.
    """

    name = "compiled"

    def __init__(self, backbone: VisionBackbone, backend: str = "inductor") -> None:
        self._vit = backbone.vit
        self._first_patch = 1 if backbone.class_token else 0
        # torch counts compilations per code object, so every pass compiles a function of its own.
        self._run_block = torch.compile(lambda block, x: block(x), backend=backend)

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        x = self._vit.embed(patches).float()
        for index, block in enumerate(self._vit.blocks):
            if len(x) > 1:
                torch._dynamo.mark_dynamic(x, 0)
            x = self._run_block(block, x)
            keep_features(self._vit, index, x[:, self._first_patch :], into)


def _blocks(vit: VisionTransformer) -> Sequence[Block]:
    return [block for block in vit.blocks if isinstance(block, Block)]
