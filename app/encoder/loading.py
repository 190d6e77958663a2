"""Load an encoder: a device, weights, and the fastest runtime that computes them right."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from app.core.errors import CheckpointError, RuntimesDisagree
from app.core.latency.profile import Weights
from app.core.plan.families import Family
from app.encoder.device import DeviceChoice, DtypeChoice, RuntimeChoice
from app.encoder.device.device import (
    choose_device,
    choose_dtype,
    dtype_name,
    forbid_tf32,
    use_fastest_threads,
)
from app.encoder.device.memory import on_device
from app.encoder.encoder import Encoder
from app.encoder.network.checkpoint import load_checkpoint
from app.encoder.runtimes.choose import COARSER, choose
from app.encoder.synthetic import check_sample, random_backbone

log = logging.getLogger(__name__)


def load_encoder(
    family: Family,
    *,
    checkpoint: Path | None = None,
    device: DeviceChoice = "auto",
    dtype: DtypeChoice = "auto",
    runtime: RuntimeChoice = "auto",
    threads: int | None = None,
    seed: int = 0,
    check: bool = True,
) -> Encoder:
    """Load an encoder with the weights of a checkpoint, or with seeded random weights.

    Args:
        checkpoint: a folder of safetensors. None gives random weights.
        dtype: ``auto`` takes the device's fastest, and float32 if no runtime is exact enough in
            the fastest. The encoder's ``note`` then gives the reason.
        threads: torch's threads on a CPU, set for the whole process. None measures the fastest
            number. A GPU ignores the argument.
        seed: makes the random weights.
        check: compare the runtime with the plain float32 network before use.

    Raises:
        CheckpointError: the checkpoint does not fit the family.
        EncoderUnavailable: device or runtime do not work here, or no runtime is exact enough.
        OutOfDeviceMemory: the weights, or a runtime's additions to the weights, do not fit.
        DeviceLost: the device takes no call any more.
    """
    on = choose_device(device)
    fastest = choose_dtype(dtype, on)
    if on.type == "cpu":
        use_fastest_threads(fastest, threads)

    def load(in_dtype: torch.dtype) -> Encoder:
        if checkpoint is None:
            make_backbone = partial(random_backbone, family, on, in_dtype, seed)
        else:
            make_backbone = partial(load_checkpoint, checkpoint, family, on, in_dtype)
        if in_dtype == torch.float32:
            forbid_tf32()  # for good: the encoder's own products must be exact, too
        sample = check_sample(family, on, in_dtype)
        chosen, fidelity = choose(runtime, make_backbone, sample, on, in_dtype, check=check)
        weights: Weights = "random" if checkpoint is None else "checkpoint"
        return Encoder(family, chosen, on, in_dtype, weights, fidelity=fidelity)

    try:
        return on_device(on, partial(load, fastest))
    except (RuntimesDisagree, CheckpointError) as error:
        if dtype != "auto" or not _float32_would_do(error, fastest, runtime):
            raise
        note = f"it computes in float32, as {dtype_name(fastest)} will not do: {error.detail}"
    log.warning("%s", note)
    return replace(on_device(on, partial(load, torch.float32)), note=note)


def _float32_would_do(
    error: RuntimesDisagree | CheckpointError, dtype: torch.dtype, runtime: RuntimeChoice
) -> bool:
    """Return True if the dtype caused the error: too coarse, or too small for the weights."""
    if dtype == torch.float32 or runtime in COARSER:
        return False
    return isinstance(error, RuntimesDisagree) or "too_large" in error.facts
