"""The vision backbone run as the code released with Molmo runs it, from its description.

Where it differs from ours: the block that is stored last runs though nothing reads it; query, key
and value are products of their own; query and key are widened to float32; weights stay in float32
and autocast rounds them at every product; every window of a crop is pooled and projected, also
those that the prompt then does not hold.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.core.plan.families import Family
from app.encoder.network.backbone import Block, activate
from app.encoder.runtimes.base import FreshInput
from app.encoder.synthetic import random_backbone
from benchmarks.reference_file import every_window


class Released:
    """A runtime (:mod:`app.encoder.runtimes.base`) with float32 weights.

    Args:
        float32_attention: keep attention itself in float32. With torch's fused attention autocast
            rounds query and key again, so that widening them costs time and changes nothing.
    """

    def __init__(
        self, family: Family, device: torch.device, *, float32_attention: bool = False
    ) -> None:
        self.name = "released, float32 attention" if float32_attention else "released"
        self._backbone = random_backbone(family, device, torch.float32)
        blocks = [block for block in self._backbone.vit.blocks if isinstance(block, Block)]
        unread = family.vit.blocks_stored - family.vit.blocks_run
        # What they hold does not matter, as nothing reads them; that they run does.
        self._blocks = [*blocks, *blocks[:unread]]
        self._pools_crops = family.connector.pooling_domain == "crop"
        self._pooling = family.connector.pooling
        self._device, self._float32_attention = device, float32_attention
        self.input_for = FreshInput(self._backbone)

    def encode_patches(self, patches: Tensor) -> Tensor:
        """[C, P, 588] → features [C, P, F]."""
        vit = self._backbone.vit
        with self._autocast():
            x = vit.embed(patches.float())
            read: dict[int, Tensor] = {}
            for index, block in enumerate(self._blocks):
                x = x + self._attend(block, block.attention_norm(x))
                mlp = block.mlp
                x = x + mlp.down(activate(mlp.up(block.mlp_norm(x)), mlp.activation))
                read[index] = x
            return self._backbone.features(tuple(read[layer] for layer in vit.feature_layers))

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """All windows are pooled and projected, then those of ``pool_index`` are taken."""
        with self._autocast():
            if not self._pools_crops:
                return self._backbone.connect(features, pool_index, padding_state)
            windows, window_of = _all_windows(
                len(features), features.shape[1], self._pooling, self._device
            )
            tokens = self._backbone.connect(features, windows, padding_state)
            return tokens[window_of[pool_index[:, 0]]]

    def _attend(self, block: Block, x: Tensor) -> Tensor:
        attention = block.attention
        weights, biases = attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3)
        query, key, value = (
            functional.linear(x, weight, bias)
            .unflatten(-1, (attention.heads, -1))  # type: ignore[no-untyped-call]  # torch
            .transpose(1, 2)
            for weight, bias in zip(weights, biases, strict=True)
        )
        query, key = query.float(), key.float()
        if self._float32_attention:
            with torch.autocast(self._device.type, enabled=False):
                mixed = functional.scaled_dot_product_attention(query, key, value.float())
        else:
            value = value if torch.is_autocast_enabled(self._device.type) else value.float()
            mixed = functional.scaled_dot_product_attention(query, key, value)
        return _apply(attention.out, mixed.transpose(1, 2).flatten(2))

    def _autocast(self) -> AbstractContextManager[object]:
        if self._device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()


def _apply(layer: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = layer(x)
    return out


def _all_windows(
    crops: int, patches: int, pooling: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Every window of every crop [windows, W], and for each flat patch which window holds it."""
    windows = every_window(crops, patches, pooling).to(device)
    window_of = torch.empty(crops * patches, dtype=torch.int64, device=device)
    numbers = torch.arange(len(windows), device=device)
    window_of[windows.flatten()] = numbers.repeat_interleave(pooling**2)
    return windows, window_of
