"""Run the vision transformer in passes for CUDA graphs: of parts, compiled, and in float8.

In a pass of parts the products add to the sum over the blocks in float32 themselves, to save
memory traffic. The sum lacks their biases: a norm takes all biases before it as a shift.

The float8 (e4m3) products are for GPUs from sm_89 on: half the bytes and twice the rate of
bfloat16, for an error five times as large. Each row of an input and each output of a weight has a
scale of its own, with its greatest value at float8's greatest.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from app.encoder.network.backbone import (
    Block,
    SelfAttention,
    VisionBackbone,
    VisionTransformer,
)
from app.encoder.runtimes.base import keep_features
from app.encoder.runtimes.parts import Parts


class VitPass(Protocol):
    """Run the vision transformer in one way."""

    @property
    def name(self) -> str:
        """Name the way for logs and tables."""

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        """Encode patches [C, P, 588] in the dtype of the weights into the features [C, P, F]."""


class PartsPass:
    """Run the vision transformer by one choice of :class:`Parts`, with the sum in float32.

    The sum lacks the biases of its products. ``shift`` holds the biases, block by block, and every
    reader of the sum (a norm, a feature) adds the shift.
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
    """Add a block's output without its biases to the sum [C · T, D], in place."""

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
    """Attend without the last product: [C, T, D] → [C · T, D]."""
    qkv = attention.qkv(x).unflatten(-1, (3, attention.heads, -1))
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    with nullcontext() if backend is None else sdpa_kernel(backend):
        mixed = functional.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).flatten(2).flatten(0, 1)


class CompiledPass:
    """Run each block compiled by torch: the operations between two products become one kernel.

    The sum over the blocks is float32, nearly for free, as norms read the sum anyway. All blocks
    share one compilation for every number of crops above one, and one for one crop. Both together
    are far below torch's limit on recompiling; beyond the limit torch would silently run eager.
    """

    name = "compiled"

    def __init__(self, backbone: VisionBackbone, backend: str = "inductor") -> None:
        self._vit = backbone.vit
        self._first_patch = 1 if backbone.class_token else 0
        # torch counts compilations per code object, so every pass needs its own function.
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


FLOAT8 = torch.float8_e4m3fn
GREATEST = torch.finfo(FLOAT8).max
LEAST_SCALE = 1e-12


class Fp8Linear(nn.Module):
    """Compute ``x · weightᵀ + bias`` for x [.., inputs] in bfloat16, with factors in float8."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias
        weight, scale = quantise_rows(linear.weight.detach())
        # The library needs the columns of the right factor contiguous in memory.
        self._weight, self._scale = weight.t(), scale.t().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x [.., inputs] → [.., outputs]."""
        rows, scale = quantise_rows(x.flatten(0, -2))
        out = torch._scaled_mm(
            rows, self._weight, scale, self._scale, bias=self.bias, out_dtype=x.dtype
        )
        return out.view(*x.shape[:-1], -1)


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split x [M, K] into float8 of the same shape and scales float32 [M, 1]."""
    scale = x.abs().amax(1, keepdim=True).float().clamp_min(LEAST_SCALE) / GREATEST
    return (x / scale).to(FLOAT8), scale


class Fp8Pass:
    """Run the vision transformer with its blocks' linear layers in float8 and the sum in float32.

    The pass takes the backbone over, and replaces the layers in place.
    """

    name = "float8 products"

    def __init__(self, backbone: VisionBackbone) -> None:
        self._vit = backbone.vit
        self._first_patch = 1 if backbone.class_token else 0
        with torch.inference_mode():
            for block in backbone.vit.blocks:
                assert isinstance(block, Block)
                for part in (block.attention, block.mlp):
                    for name, layer in part.named_children():
                        assert isinstance(layer, nn.Linear)
                        setattr(part, name, Fp8Linear(layer))

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        x = self._vit.embed(patches).float()
        for index, block in enumerate(self._vit.blocks):
            x = block(x)
            keep_features(self._vit, index, x[:, self._first_patch :], into)
