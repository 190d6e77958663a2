"""The default family with a network that is small enough to run in no time."""

from __future__ import annotations

from dataclasses import replace

import torch

from app.core.plan.families import family_named
from app.encoder.encoder import Encoder
from app.encoder.runtimes.base import Eager
from app.encoder.synthetic import random_backbone

CPU = torch.device("cpu")


def small_encoder() -> Encoder:
    """Its tilings, crops and tokens are the real ones, only the network's widths are not."""
    real = family_named("molmo-7b-d-0924")
    family = replace(
        real,
        vit=replace(
            real.vit, width=32, heads=2, mlp_width=32, blocks_stored=2, feature_layers=(1, 0)
        ),
        connector=replace(real.connector, projector_hidden=32, llm_width=32),
    )
    backbone = random_backbone(family, CPU, torch.float32)
    return Encoder(family, Eager(backbone), CPU, torch.float32, "random")
