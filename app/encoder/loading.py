"""Making an encoder: weights from a checkpoint or at random, and the fastest runtime for them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from app.core.choices import RuntimeChoice
from app.core.config import make_config
from app.core.families import Family
from app.encoder.backbone import VisionBackbone
from app.encoder.checkpoint import load_checkpoint
from app.encoder.encoder import Encoder
from app.encoder.fidelity import Reference, plain_reference
from app.encoder.padding import MaskOrder, PaddingState
from app.encoder.profile_plans import profile_plans, synthetic_crops
from app.encoder.random_weights import random_backbone
from app.encoder.runtimes.choose import choose


def load_encoder(
    family: Family,
    *,
    checkpoint: Path | None,
    device: torch.device,
    dtype: torch.dtype,
    runtime: RuntimeChoice = "auto",
    seed: int = 0,
    mask_order: MaskOrder = "released",
    check: bool = True,
) -> Encoder:
    """An encoder with a checkpoint's weights, or with seeded random ones where there is none.

    ``check`` compares the runtime with the plain float32 network before it is used.

    Raises:
        CheckpointError: the checkpoint does not fit the family.
        EncoderUnavailable: the chosen runtime does not work here.
    """
    if checkpoint is None:
        make_backbone = partial(random_backbone, family, device, dtype, seed)
    else:
        make_backbone = partial(load_checkpoint, checkpoint, family, device, dtype)
    reference = partial(reference_of, family) if check else None
    chosen, fidelity = choose(runtime, make_backbone, reference, device, dtype)
    return Encoder(
        family=family,
        runtime=chosen,
        device=device,
        dtype=dtype,
        weights="random" if checkpoint is None else "checkpoint",
        mask_order=mask_order,
        fidelity=fidelity,
    )


def reference_of(family: Family, backbone: VisionBackbone, total_crops: int = 1) -> Reference:
    """What the plain network makes of noise, padded in every way there is."""
    parameter = next(backbone.parameters())
    plan = profile_plans(make_config(family), [total_crops])[0]
    crops = synthetic_crops(plan, parameter.device, parameter.dtype)
    # The states of a letterboxed crop: some rows of padding, one on the edge, the rest image.
    states = torch.full_like(crops.padding_state, PaddingState.NONE)
    states[:, :48], states[:, 48:72] = PaddingState.ALL, PaddingState.PARTIAL
    crops = replace(crops, padding_state=states)
    return plain_reference(backbone, crops.patches, crops.pool_index, crops.padding_state)
