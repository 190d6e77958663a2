"""Making an encoder: weights from a checkpoint or at random, and the fastest runtime for them."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from app.core.errors import CheckpointError, RuntimesDisagree
from app.core.plan.families import Family
from app.encoder.device.choices import RuntimeChoice
from app.encoder.device.device import dtype_name, forbid_tf32
from app.encoder.encoder import Encoder
from app.encoder.network.backbone import VisionBackbone
from app.encoder.network.checkpoint import load_checkpoint
from app.encoder.network.padding import MaskOrder
from app.encoder.network.random_weights import random_backbone
from app.encoder.runtimes.choose import COARSER, choose
from app.encoder.runtimes.fidelity import Reference, plain_reference
from app.encoder.sample import check_sample, noise_crops, sample_of

log = logging.getLogger(__name__)


def load_encoder(
    family: Family,
    *,
    checkpoint: Path | None,
    device: torch.device,
    dtype: torch.dtype,
    or_float32: bool = False,
    runtime: RuntimeChoice = "auto",
    seed: int = 0,
    mask_order: MaskOrder = "released",
    check: bool = True,
) -> Encoder:
    """Make an encoder with a checkpoint's weights, or with seeded random ones where there is none.

    ``check`` compares the runtime with the plain float32 network before it is used. Where none is
    exact enough in ``dtype``, ``or_float32`` computes in float32, and says so in ``note``.

    Raises:
        CheckpointError: the checkpoint does not fit the family.
        EncoderUnavailable: the chosen runtime does not work here, or none is exact enough.
        OutOfDeviceMemory: the weights, or what a runtime adds to them, do not fit.
    """
    if checkpoint is None:
        make_backbone = partial(random_backbone, family, device, dtype, seed)
    else:
        make_backbone = partial(load_checkpoint, checkpoint, family, device, dtype)
    if dtype == torch.float32:
        forbid_tf32()  # for good, as the encoder's own products are promised to be exact, too
    sample = check_sample(family, device, dtype)
    load_again = partial(
        load_encoder,
        family,
        checkpoint=checkpoint,
        device=device,
        dtype=torch.float32,
        runtime=runtime,
        seed=seed,
        mask_order=mask_order,
        check=check,
    )
    try:
        chosen, fidelity = choose(runtime, make_backbone, sample, device, dtype, check=check)
    except (RuntimesDisagree, CheckpointError) as error:
        if not or_float32 or not _float32_would_do(error, dtype, runtime):
            raise
        note = f"it computes in float32, as {dtype_name(dtype)} will not do: {error.detail}"
    else:
        return Encoder(
            family=family,
            runtime=chosen,
            device=device,
            dtype=dtype,
            weights="random" if checkpoint is None else "checkpoint",
            mask_order=mask_order,
            fidelity=fidelity,
        )
    log.warning("%s", note)
    return replace(load_again(), note=note)


def _float32_would_do(
    error: RuntimesDisagree | CheckpointError, dtype: torch.dtype, runtime: RuntimeChoice
) -> bool:
    """Tell whether the dtype was at fault: too coarse, or too small for the weights."""
    if dtype == torch.float32 or runtime in COARSER:
        return False
    return isinstance(error, RuntimesDisagree) or "too_large" in error.facts


def reference_of(family: Family, backbone: VisionBackbone, total_crops: int = 1) -> Reference:
    """Run the plain network over noise, padded in every way there is."""
    weights = next(backbone.parameters())
    noise = noise_crops(family, weights.device, weights.dtype, total_crops)
    return plain_reference(backbone, sample_of(noise))
