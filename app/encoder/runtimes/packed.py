"""Run the network on a CPU with the same products and less memory traffic between them.

The gain in bfloat16 on two cores of an AVX-512 machine is 4.9 s → 3.5 s for 7 crops, and
0.9 s → 0.5 s for one crop. Three savings make it:

- weights are packed once into oneDNN's order, not at every product: most of the gain for one crop,
  with its short products;
- attention is two products and a softmax for a few heads at a time, with scores small enough for
  the cache: 270 GFLOP/s, against 120 of torch's fused kernel;
- activations and sums are in place: a fresh tensor of some megabytes costs more in page faults than
  its arithmetic.

The sum over the blocks is float32: half the error of bfloat16, for 3 % of the time.

torch has the packed product under a private name, for its own compiler. In a torch without it
:func:`can_pack` is false, and the plain network runs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.core.plan.families import Activation
from app.encoder.network.backbone import (
    QUICK_GELU,
    Block,
    VisionBackbone,
    even_parts,
    run_blocks,
)

CROPS_AT_ONCE = 4
"""The most crops in one run through the blocks. More crops at once gain nothing."""
HEADS_AT_ONCE = 4
"""Heads with scores [heads, T, T] in memory at once: 2.7 MB in bfloat16."""


class PackedLinear(nn.Module):
    """Compute ``x · weightᵀ + bias`` for x [.., inputs], with the weight in oneDNN's order."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias
        self._weight: Tensor = _onednn()._reorder_linear_weight(linear.weight, None)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x [.., inputs] → [.., outputs]."""
        out: Tensor = _onednn()._linear_pointwise(x, self._weight, self.bias, "none", [], "")
        return out


def _onednn() -> Any:
    return torch.ops.mkldnn


@torch.inference_mode()
def can_pack(dtype: torch.dtype) -> bool:
    """Return True if this torch has oneDNN's packed product for ``dtype`` on this CPU."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch
        return False
    try:
        PackedLinear(nn.Linear(16, 16, dtype=dtype))(torch.zeros(1, 16, dtype=dtype))
    except (AttributeError, RuntimeError):
        return False
    return True


def pack_linears(module: nn.Module) -> None:
    """Replace every linear layer below ``module`` by its packed form."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, PackedLinear(child))
        else:
            pack_linears(child)


class Packed:
    """Take a backbone on the CPU over, and run it with its linear layers packed in place."""

    name = "packed"

    def __init__(self, backbone: VisionBackbone) -> None:
        self.input_for = backbone.input_for
        with torch.inference_mode():
            pack_linears(backbone)
        self._backbone = backbone
        self.connect = backbone.connect

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Encode [C, P, 588] → features [C, P, F], a few crops at a time."""
        vit = self._backbone.vit
        patches = patches.to(vit.positional_embedding.dtype)
        width = vit.positional_embedding.shape[-1] * len(vit.feature_layers)
        features = patches.new_empty(*patches.shape[:2], width)
        for some, into in even_parts(patches, features, CROPS_AT_ONCE):
            run_blocks(self._backbone, some, into, add_block)
        return features


def add_block(block: Block, x: Tensor) -> Tensor:
    """Add a block's output to the sum x [C, T, D] in place, and return the sum."""
    attention, mlp = block.attention, block.mlp
    qkv = attention.qkv(block.attention_norm(x))
    x += attention.out(attend(qkv, attention.heads))
    up = mlp.up(block.mlp_norm(x))
    x += mlp.down(activate_in_place(up, mlp.activation))
    return x


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Attend over qkv [C, T, 3·D] → [C, T, D], crop by crop, a few heads at a time."""
    crops, length, width = qkv.shape
    head_width = width // 3 // heads
    out = qkv.new_empty(crops, length, heads, head_width)
    split = qkv.new_empty(3, heads, length, head_width)
    query, key, value = split.unbind(0)
    at_once = min(HEADS_AT_ONCE, heads)
    scores = qkv.new_empty(at_once, length, length)
    mixed = qkv.new_empty(at_once, length, head_width)
    for crop, attended in zip(qkv, out, strict=True):
        split.copy_(crop.view(length, 3, heads, head_width).permute(1, 2, 0, 3))
        query *= head_width**-0.5
        for first in range(0, heads, at_once):
            some = slice(first, min(first + at_once, heads))
            count = some.stop - some.start
            torch.bmm(query[some], key[some].transpose(1, 2), out=scores[:count])
            torch.softmax(scores[:count], -1, out=scores[:count])
            torch.bmm(scores[:count], value[some], out=mixed[:count])
            attended[:, some] = mixed[:count].transpose(0, 1)
    return out.flatten(2)


def activate_in_place(x: Tensor, activation: Activation) -> Tensor:
    """Compute :func:`app.encoder.network.backbone.activate`, and overwrite x if possible."""
    if activation == "gelu_tanh":
        return functional.gelu(x, approximate="tanh")
    # silu needs no second tensor of x's size.
    x *= QUICK_GELU
    functional.silu(x, inplace=True)
    x *= 1 / QUICK_GELU
    return x
