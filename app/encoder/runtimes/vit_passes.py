"""Run the vision transformer in passes for CUDA graphs: of parts, compiled, and in float8.

On a GPU the products run near the matrix rate, and the rest of the time is memory traffic of the
operations around them. A pass of parts has one choice among several ways to compute these
operations; :mod:`app.encoder.runtimes.fastest` finds the fastest working way. The products add to
the sum over the blocks in float32 themselves, to save memory traffic. The sum lacks their biases: a
norm takes all biases before it as a shift.

The float8 (e4m3) products are for GPUs from sm_89 on: half the bytes and twice the rate of
bfloat16, for an error five times as large. Each row of an input and each output of a weight has a
scale of its own, with its greatest value at float8's greatest.
"""

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
    run_blocks,
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
        self.name = parts.label
        self._vit = vit = backbone.vit
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
        self._backbone = backbone
        # torch counts compilations per code object, so every pass needs its own function.
        self._compiled = torch.compile(lambda block, x: block(x), backend=backend)

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        run_blocks(self._backbone, patches, into, self._run)

    def _run(self, block: Block, x: Tensor) -> Tensor:
        if len(x) > 1:
            torch._dynamo.mark_dynamic(x, 0)
        out: Tensor = self._compiled(block, x)
        return out


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
        self._backbone = backbone
        with torch.inference_mode():
            for block in _blocks(backbone.vit):
                for part in (block.attention, block.mlp):
                    for name, layer in part.named_children():
                        assert isinstance(layer, nn.Linear)
                        setattr(part, name, Fp8Linear(layer))

    def __call__(self, patches: Tensor, into: Tensor) -> None:
        run_blocks(self._backbone, patches, into, lambda block, x: block(x))
