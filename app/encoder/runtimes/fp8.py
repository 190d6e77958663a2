"""The products of the blocks in float8 (e4m3), for GPUs that multiply it: from sm_89 on.

Half the bytes and twice the rate of bfloat16, for an error five times as large. Each row of an
input, and each output of a weight, has a scale of its own, so that its greatest value is float8's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from app.encoder.network.backbone import Block, VisionBackbone
from app.encoder.runtimes.parts import keep_features

FLOAT8 = torch.float8_e4m3fn
GREATEST = torch.finfo(FLOAT8).max
LEAST_SCALE = 1e-12


class Fp8Linear(nn.Module):
    """``x · weightᵀ + bias`` for x [.., inputs] in bfloat16, both factors rounded to float8."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias
        weight, scale = quantise_rows(linear.weight.detach())
        # The library wants a right factor whose columns lie in a row of memory.
        self._weight, self._scale = weight.t(), scale.t().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """[.., inputs] → [.., outputs]."""
        rows, scale = quantise_rows(x.flatten(0, -2))
        out = torch._scaled_mm(
            rows, self._weight, scale, self._scale, bias=self.bias, out_dtype=x.dtype
        )
        return out.view(*x.shape[:-1], -1)


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """[M, K] → float8 of the same shape and float32 [M, 1], whose product is near x."""
    scale = x.abs().amax(1, keepdim=True).float().clamp_min(LEAST_SCALE) / GREATEST
    return (x / scale).to(FLOAT8), scale


class Fp8Pass:
    """The vision transformer with its blocks' linear layers in float8 and the sum in float32.

    It takes the backbone over: the layers are replaced in place.
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
