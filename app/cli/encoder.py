"""Load, measure and time the encoder of a command, with the progress on stderr.

The file imports torch, so import the file late.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from app.cli.options import Measurement
from app.cli.terminal import console, printable, progress_bar
from app.core.errors import InvalidProfile
from app.core.latency.latency import Latency
from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions
from app.core.latency.profile import Profile, ProfileKey, StateEntry, Weights, merged
from app.core.latency.profile_file import profile_filename
from app.core.latency.status import Preparation, Progress
from app.core.plan.config import CropConfig
from app.core.plan.families import Family
from app.core.plan.plan import CropPlan
from app.encoder import loading
from app.encoder.device.device import (
    choose_device,
    choose_dtype,
    device_name,
    dtype_name,
)
from app.encoder.encoder import Encoder
from app.encoder.measuring.measure import ProfileWish, measure_profile
from app.encoder.measuring.pacing import Hooks, WarmupRule, default_warmup
from app.encoder.measuring.record import profile_key
from app.encoder.measuring.series import SCOPES
from app.encoder.measuring.states import measure_cold, measure_idle
from app.imaging.read.decode import Picture
from app.profiles import load_profile, newest_profile, save_profile
from app.report.dataset.images import Dataset
from app.report.timing.component_timing import TimingProgress, time_components
from app.report.timing.components import ComponentTiming
from app.report.timing.timing_file import Conditions, timing_to_json
from app.report.timing.torch_encoder import TorchEncoder
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


def measure_device(
    asked: Measurement, counts: Sequence[int] | None, config: CropConfig, settings: Settings
) -> tuple[Profile, Path | None]:
    """Measure a profile and save the profile after each round.

    Saved entries that are not measured again stay in the profile: a measurement of two counts must
    not lose the others.

    Args:
        counts: total crops; None takes all of the configuration.

    Returns:
        The profile and its file; None for a folder that cannot be written.

    Raises:
        CheckpointError, EncoderUnavailable: the encoder cannot be loaded.
        EncoderError: nothing was measured.
    """
    told = console(stderr=True)
    checkpoint = asked.checkpoint or checkpoint_for(config.family, settings)
    encoder = load_here(config.family, checkpoint, settings, told, doing="measuring")
    counts = counts or range(1, config.max_crops + 2)
    earlier = _earlier(profile_key(encoder, config), settings)
    saved: Path | None = None
    wish = ProfileWish(
        counts=counts,
        rounds=asked.repeats,
        warmup=_warmup(encoder, asked.warmup),
        budget_s=asked.budget,
        config=config,
        scopes=SCOPES if asked.full else None,
    )
    with progress_bar(told) as show:
        hooks = Hooks(progress=lambda progress: show(progress.done, _step(progress)))
        resume = earlier if asked.resume else None
        for measured in measure_profile(encoder, wish, hooks, resume):
            profile = measured if asked.resume else merged(earlier, measured)
            saved = _save(profile, settings.profile_folder, told)
    if asked.states:
        profile = replace(
            profile, states=_states(encoder, (counts[0], counts[-1]), checkpoint, told)
        )
        saved = _save(profile, settings.profile_folder, told)
    return profile, saved


def _warmup(encoder: Encoder, at_most_s: float | None) -> WarmupRule:
    return default_warmup(encoder.device) if at_most_s is None else WarmupRule(at_most_s=at_most_s)


def _step(progress: Progress) -> str:
    did = f"{progress.last_ms:.1f} ms" if progress.phase == "rounds" else "warm"
    return f"{progress.phase}: {progress.total_crops} crops, {did}"


def _states(
    encoder: Encoder, counts: Sequence[int], checkpoint: Path | None, told: Console
) -> tuple[StateEntry, ...]:
    with told.status("waiting in silence, then measuring"):
        idle = measure_idle(encoder, counts)
    with told.status("starting fresh processes"):
        cold = [measure_cold(encoder, count, checkpoint) for count in sorted(set(counts))]
    return (*cold, *idle)


def _earlier(key: ProfileKey, settings: Settings) -> Profile | None:
    """Load the saved profile of these conditions, if any."""
    try:
        return load_profile(settings.profile_folder / profile_filename(key))
    except InvalidProfile:
        return None


def _save(profile: Profile, folder: Path, told: Console) -> Path | None:
    try:
        return save_profile(profile, folder)
    except OSError as error:
        told.print(f"the profile cannot be saved in {folder}: {error.strerror}", style="yellow")
        return None


def time_images(
    dataset: Dataset,
    config: CropConfig,
    settings: Settings,
    *,
    num_images: int | None,
    repeats: int,
    warmup_s: float | None,
    checkpoint: Path | None,
) -> tuple[ComponentTiming, Conditions, str]:
    """Load the encoder and time the components of passes over images.

    None leaves a value to the device or the settings.

    Returns:
        The timing, its conditions, and both as the text of the timing file.

    Raises:
        CheckpointError, EncoderUnavailable, EncoderMismatch: no encoder can run the plans.
        InvalidDataset: no image can be timed.
    """
    told = console(stderr=True)
    checkpoint = checkpoint or checkpoint_for(config.family, settings)
    encoder = load_here(config.family, checkpoint, settings, told, doing="timing")
    timed = TorchEncoder(encoder)
    with progress_bar(told) as show:
        timing = time_components(
            timed,
            dataset,
            config,
            repeats=repeats,
            warming=_warmup(encoder, warmup_s),
            max_pixels=settings.max_pixels,
            num_images=num_images,
            progress=lambda progress: show(progress.done, _timed_step(progress)),
        )
    conditions = timed.conditions(config, timing)
    text = timing_to_json(timing, dataset, config, conditions, repeats=repeats)
    return timing, conditions, text


def _timed_step(progress: TimingProgress) -> str:
    subject = progress.subject
    name = printable(subject.image.file_name)
    return f"{progress.phase}: {name}, {subject.plan.total_crops} crops"
