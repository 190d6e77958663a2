"""Load the encoder of a command as the settings say. Imports torch, so it is imported late."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from app.core.plan.families import Family
from app.encoder import loading
from app.encoder.device.device import choose_device, choose_dtype, device_name, dtype_name
from app.encoder.encoder import Encoder
from app.settings import Settings


def load_here(
    family: Family, checkpoint: Path | None, settings: Settings, told: Console, *, doing: str
) -> Encoder:
    """An encoder on this device, and a line about it; ``doing`` is what it is loaded for.

    Raises:
        CheckpointError, EncoderUnavailable: it cannot be loaded.
    """
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    where = f"{family.name} on {device_name(device)}"
    with told.status(f"loading {where}, {dtype_name(dtype)}"):
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
