"""Load and run the encoder of a command. The file imports torch, so import the file late."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from app.cli.terminal import console
from app.core.errors import InvalidProfile
from app.core.latency.latency import Latency
from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions
from app.core.latency.profile import Weights
from app.core.latency.status import Preparation
from app.core.plan.config import CropConfig
from app.core.plan.families import Family
from app.core.plan.plan import CropPlan
from app.encoder import loading
from app.encoder.device.device import choose_device, choose_dtype, device_name, dtype_name
from app.encoder.encoder import Encoder
from app.imaging.read.decode import Picture
from app.profiles import newest_profile
from app.serving.device import served_encoder as backend
from app.serving.latency.encoder_service import DEFAULT_REPEATS, run_passes
from app.settings import Settings


def checkpoint_for(family: Family, settings: Settings) -> Path | None:
    """Return the checkpoint of the settings, which belongs to the family of the settings."""
    return settings.checkpoint if family.name == settings.model else None


def load_here(
    family: Family, checkpoint: Path | None, settings: Settings, told: Console, *, doing: str
) -> Encoder:
    """Load the encoder on this device, and print a line with the conditions.

    Args:
        doing: the purpose, as the first word of the line.

    Raises:
        CheckpointError, EncoderUnavailable: the encoder cannot be loaded.
    """
    device = choose_device(settings.device)
    where = f"{family.name} on {device_name(device)}"
    with told.status(f"loading {where}, {dtype_name(choose_dtype(settings.dtype, device))}"):
        encoder = loading.load_encoder(
            family,
            checkpoint=checkpoint,
            device=settings.device,
            dtype=settings.dtype,
            runtime=settings.runtime,
            threads=settings.threads,
            seed=settings.seed,
        )
    if encoder.note:
        told.print(encoder.note)
    told.print(
        f"{doing} {where}, {dtype_name(encoder.dtype)}, runtime {encoder.runtime.name}, "
        f"{encoder.weights} weights"
    )
    return encoder


def saved_predictions(config: CropConfig, settings: Settings) -> Predictions:
    """Predict by the newest profile saved for this device, if any."""
    family = config.family
    device = choose_device(settings.device)
    weights: Weights = "checkpoint" if checkpoint_for(family, settings) else "random"
    missing = (
        f"no profile is saved for {family.name} on this device; "
        f"`crop-planner measure --model {family.name}` makes one"
    )
    try:
        profile = newest_profile(
            settings.profile_folder,
            model=family.name,
            device=device_name(device),
            dtype=dtype_name(choose_dtype(settings.dtype, device)),
            weights=weights,
            overlap_margins=config.overlap_margins,
        )
    except InvalidProfile as error:
        return Predictions(None, f"the saved profile cannot be used: {error.detail}")
    return Predictions(LatencyModel(profile) if profile else None, missing)


def measured_latency(
    picture: Picture, plan: CropPlan, settings: Settings, repeats: int | None
) -> tuple[Latency, Preparation]:
    """Load the encoder and run the picture's own crops, as the service does on request.

    Raises:
        CheckpointError, EncoderUnavailable: the encoder cannot be loaded.
        EncoderMismatch: the encoder cannot run the plan.
        DeadlineExceeded: the time of the settings is over.
    """
    family = plan.config.family
    with console(stderr=True).status(f"measuring {family.name}, {plan.total_crops} crops in all"):
        encoder = backend.load_served_encoder(
            family,
            checkpoint=checkpoint_for(family, settings),
            device=settings.device,
            dtype=settings.dtype,
            runtime=settings.runtime,
            threads=settings.threads,
            seed=settings.seed,
            profile=backend.ProfileOptions(settings.profile_folder, None, None, 0),
        )
        encoder.check(plan)
        return run_passes(
            encoder,
            lambda: picture,
            plan,
            repeats=repeats or DEFAULT_REPEATS,
            deadline=time.monotonic() + settings.measure_timeout_s,
        )
