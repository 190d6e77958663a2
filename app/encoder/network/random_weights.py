"""Seeded random weights: the latency of the real ones, and features that mean nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from app.core.plan.families import Family
from app.encoder.network.backbone import VisionBackbone
from app.encoder.network.checkpoint import meta_backbone

POOL = 4_194_301
"""Normal values that are drawn; a prime, so that no width of a weight divides it."""

SMALL_STD = 0.1
"""Of biases, and of the weights of norms around 1. Were they 0 and 1, as in a fresh network, a
runtime that drops or mixes them up would still agree."""


def random_backbone(
    family: Family, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> VisionBackbone:
    """Make the backbone at full dimensions on ``device`` in ``dtype``; same seed, same weights.

    A weight has variance 1 / inputs, so a block adds about one unit of variance to the residual
    stream: deep enough a network stays far inside what bfloat16 holds. The values are those of one
    pool of ``POOL``, read on from weight to weight and over and over: drawing each anew takes
    seconds on a CPU, and no product runs faster for it.
    """
    backbone = meta_backbone(family).to(dtype).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    pool = torch.randn(POOL, generator=generator, device=device).to(dtype)
    at = 0
    with torch.inference_mode():
        for name, parameter in backbone.named_parameters():
            values, of_norm = parameter.view(-1), name.endswith("norm.weight")
            if of_norm or name.endswith(".bias"):
                at = _fill(values, pool, at, SMALL_STD)
                values += int(of_norm)
            else:  # a weight [outputs, inputs], or an embedding [.., width]
                at = _fill(values, pool, at, parameter.shape[-1] ** -0.5)
    return backbone


def _fill(values: Tensor, pool: Tensor, at: int, std: float) -> int:
    """Copy the pool from ``at`` on, as often as it takes; where the next weight goes on."""
    first = 0
    while first < len(values):
        some = values[first : first + POOL - at]
        torch.mul(pool[at : at + len(some)], std, out=some)
        first += len(some)
        at = (at + len(some)) % POOL
    return at
