"""Measure a profile, or time images, with the progress on stderr.

The file imports torch, so import the file late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from app.cli.encoder import checkpoint_for, load_here
from app.cli.options import Measurement
from app.cli.terminal import ProgressBar, console, printable
from app.core.errors import InvalidProfile
from app.core.latency.profile import Profile, ProfileKey, StateEntry, merged
from app.core.latency.profile_file import profile_filename
from app.core.latency.status import Progress
from app.core.plan.config import CropConfig
from app.encoder.encoder import Encoder
from app.encoder.measuring.measure import ProfileWish, measure_profile
from app.encoder.measuring.pacing import Hooks, WarmupRule, default_warmup
from app.encoder.measuring.record import profile_key
from app.encoder.measuring.series import SCOPES
from app.encoder.measuring.states import measure_cold, measure_idle
from app.profiles import load_profile, save_profile
from app.report.dataset.images import Dataset
from app.report.timing.component_timing import time_components
from app.report.timing.components import ComponentTiming
from app.report.timing.session import TimingProgress
from app.report.timing.timing_file import Conditions, timing_to_json
from app.report.timing.torch_encoder import TorchEncoder
from app.settings import Settings


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
    with ProgressBar(told) as bar:
        hooks = Hooks(progress=lambda progress: bar.update(progress.done, _step(progress)))
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
    with ProgressBar(told) as bar:
        timing = time_components(
            timed,
            dataset,
            config,
            repeats=repeats,
            warming=_warmup(encoder, warmup_s),
            max_pixels=settings.max_pixels,
            num_images=num_images,
            progress=lambda progress: bar.update(progress.done, _timed_step(progress)),
        )
    conditions = timed.conditions(config, timing)
    text = timing_to_json(timing, dataset, config, conditions, repeats=repeats)
    return timing, conditions, text


def _timed_step(progress: TimingProgress) -> str:
    subject = progress.subject
    name = printable(subject.image.file_name)
    return f"{progress.phase}: {name}, {subject.plan.total_crops} crops"
