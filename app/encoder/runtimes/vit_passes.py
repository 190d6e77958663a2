"""The vision transformer for one shape at a time, with less memory touched between the products.

On a GPU the products run near the matrix rate, and what is left is the traffic of the operations
between them: written plainly, quick-GELU alone reads and writes the widest tensor of a block three
times. A pass writes its features into a tensor that the caller has, so that a CUDA graph can be
captured of it: it never waits for the device, and the shapes decide which operations run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.encoder.backbone import (
    QUICK_GELU,
    Block,
    SelfAttention,
    VisionBackbone,
    VisionTransformer,
)
from app.encoder.runtimes.parts import keep_features, norm_narrow


class VitPass(Protocol):
    """A way to run the vision transformer."""

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        """Patches [C, P, 588] in the dtype of the weights → features, written [C, P, F]."""


VitPassMaker = Callable[[VisionBackbone], VitPass]


class FusedPass:
    """The transformer with sums and activations in place, and constants inside the products.

    The factor 1.702 of quick-GELU and its inverse are the alpha of the two products around it,
    which is applied before a product is rounded. So the activation is one operation that overwrites
    its input, and nothing is rounded that would not be otherwise but the scaled bias.

    Args:
        wide: keep the sum that blocks add to in float32, as the released code does. In bfloat16
            its roundings are half of the error, and too much for Molmo 2; in float32 it is twice
            the memory that sums and norms touch.
    """

    def __init__(self, backbone: VisionBackbone, *, wide: bool = False) -> None:
        self._vit = backbone.vit
        self._wide = wide
        self._first_patch = 1 if backbone.class_token else 0
        with torch.inference_mode():
            self._blocks = [_FusedBlock(block) for block in _blocks(backbone.vit)]

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        x = self._vit.embed(patches)
        x = x.float() if self._wide else x
        for index, block in enumerate(self._blocks):
            block.add_to(x)
            keep_features(self._vit, index, x[:, self._first_patch :], into)


class CompiledPass:
    """Each block as torch.compile makes it: what lies between two products becomes one kernel.

    The sum that blocks add to is kept in float32, which is nearly free where norms read it anyway.
    The blocks are compiled once for all of them and for every number of crops above one, and once
    for one crop: far below torch's limit on recompiling, past which it would silently run eager.
    """

    def __init__(self, backbone: VisionBackbone, backend: str = "inductor") -> None:
        self._vit = backbone.vit
        self._first_patch = 1 if backbone.class_token else 0
        # torch counts compilations per code object, so every pass compiles a function of its own.
        self._run_block = torch.compile(lambda block, x: _block_output(block, x), backend=backend)

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        x = self._vit.embed(patches).float()
        for index, block in enumerate(self._vit.blocks):
            if len(x) > 1:
                torch._dynamo.mark_dynamic(x, 0)
            x = self._run_block(block, x)
            keep_features(self._vit, index, x[:, self._first_patch :], into)


class _FusedBlock:
    """A block that adds to its input in place."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._quick = block.mlp.activation == "quick_gelu"
        self._scale = QUICK_GELU if self._quick else 1.0
        self._up_bias = block.mlp.up.bias * self._scale

    def add_to(self, x: Tensor) -> None:
        """X [C, T, D], contiguous, becomes the output of the block."""
        block = self._block
        x += _attend(block.attention, norm_narrow(block.attention_norm, x))
        rows = norm_narrow(block.mlp_norm, x).flatten(0, 1)
        up = self._activate(_product(rows, block.mlp.up, self._up_bias, self._scale))
        x += _product(up, block.mlp.down, block.mlp.down.bias, 1 / self._scale).view_as(x)

    def _activate(self, up: Tensor) -> Tensor:
        if self._quick:
            return functional.silu(up, inplace=True)
        return functional.gelu(up, approximate="tanh")


def _block_output(block: Block, x: Tensor) -> Tensor:
    """As ``block(x)``, for x of any dtype; the products are in that of the weights."""
    x = x + _attend(block.attention, norm_narrow(block.attention_norm, x))
    out: Tensor = x + block.mlp(norm_narrow(block.mlp_norm, x))
    return out


def _product(rows: Tensor, linear: nn.Linear, bias: Tensor, alpha: float) -> Tensor:
    """``alpha · rows · weightᵀ + bias``, rows [N, inputs]: one call of the library on a GPU."""
    return torch.addmm(bias, rows, linear.weight.t(), alpha=alpha)


def _attend(attention: SelfAttention, x: Tensor) -> Tensor:
    out: Tensor = attention(x)
    return out


def _blocks(vit: VisionTransformer) -> list[Block]:
    return [block for block in vit.blocks if isinstance(block, Block)]
