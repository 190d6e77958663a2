"""Seeded random weights: the latency of the real ones, and features that mean nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from app.core.families import Family
from app.encoder.backbone import VisionBackbone
from app.encoder.checkpoint import meta_backbone


def random_backbone(
    family: Family, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> VisionBackbone:
    """The backbone at full dimensions, made on ``device`` in ``dtype``; same seed, same weights.

    A weight has variance 1 / inputs, so a block adds about one unit of variance to the residual
    stream: deep enough a network stays far inside what bfloat16 holds.
    """
    backbone = meta_backbone(family).to(dtype).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            _fill(name, parameter, generator)
    return backbone


def _fill(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    if name.endswith("norm.weight"):
        parameter.fill_(1)
    elif name.endswith(".bias"):
        parameter.zero_()
    else:  # a weight [outputs, inputs], or an embedding [.., width]
        parameter.normal_(std=parameter.shape[-1] ** -0.5, generator=generator)
