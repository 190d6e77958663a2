"""Measure a profile with its progress on stderr. Imports torch, so it is imported late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from app.cli.loading import load_here
from app.cli.output import console
from app.cli.progress import ProgressBar
from app.core.errors import InvalidProfile
from app.core.latency.profile import Profile, ProfileKey, StateEntry, merged
from app.core.latency.profile_file import profile_filename
from app.core.latency.status import Progress
from app.core.plan.config import make_config
from app.core.plan.families import Family
from app.encoder.device.failures import on_device
from app.encoder.encoder import Encoder
from app.encoder.measuring.measure import measure_profile
from app.encoder.measuring.record import profile_key
from app.encoder.measuring.scopes import SCOPES
from app.encoder.measuring.states import cold_start_of, measure_cold, measure_idle
from app.encoder.measuring.warmup import WarmupRule, default_warmup
from app.profiles import load_profile, save_profile
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured. None leaves it to the family or the device."""

    family: Family
    overlap_margins: tuple[int, int] | None
    counts: Sequence[int] | None
    repeats: int | None
    warmup_s: float | None
    full: bool
    states: bool
    budget_s: float | None
    checkpoint: Path | None
    resume: bool


def run(request: Request, settings: Settings) -> tuple[Profile, Path | None]:
    """Measure, saving now and then; the profile and its file, None where it cannot be kept.

    The profile has the saved entries, too, that were not measured again: the file is one, and
    measuring two counts must not lose the others.

    Raises:
        CheckpointError, EncoderUnavailable: there is nothing to measure.
        EncoderError: nothing was measured.
    """
    told = console(stderr=True)
    encoder = load_here(request.family, request.checkpoint, settings, told, doing="measuring")
    config = make_config(encoder.family, overlap_margins=request.overlap_margins)
    counts = sorted(set(request.counts or range(1, config.max_crops + 2)))
    default = default_warmup(encoder.device)
    warmup = default if request.warmup_s is None else WarmupRule(at_most_s=request.warmup_s)
    earlier = _earlier(profile_key(encoder, config), settings)
    saved: Path | None = None
    with ProgressBar(told) as bar:
        for measured in measure_profile(
            encoder,
            counts,
            request.repeats,
            warmup,
            request.budget_s,
            earlier if request.resume else None,
            config=config,
            scopes=SCOPES if request.full else None,
            run=partial(on_device, encoder.device),
            progress=lambda progress: bar.update(progress.done, _told(progress)),
        ):
            profile = measured if request.resume else merged(earlier, measured)
            saved = _save(profile, settings.profile_folder, told)
    if request.states:
        profile = replace(profile, states=_states(encoder, (counts[0], counts[-1]), request, told))
        saved = _save(profile, settings.profile_folder, told)
    return profile, saved


def _told(progress: Progress) -> str:
    did = f"{progress.last_ms:.1f} ms" if progress.phase == "rounds" else "warm"
    return f"{progress.phase}: {progress.total_crops} crops, {did}"


def _states(
    encoder: Encoder, counts: Sequence[int], request: Request, told: Console
) -> tuple[StateEntry, ...]:
    with told.status("waiting in silence, then measuring"):
        idle = measure_idle(encoder, counts)
    with told.status("starting fresh processes"):
        cold = [
            measure_cold(cold_start_of(encoder, count, request.checkpoint))
            for count in sorted(set(counts))
        ]
    return (*cold, *idle)


def _earlier(key: ProfileKey, settings: Settings) -> Profile | None:
    """The saved profile of these conditions."""
    try:
        return load_profile(settings.profile_folder / profile_filename(key))
    except InvalidProfile:
        return None


def _save(profile: Profile, folder: Path, told: Console) -> Path | None:
    try:
        return save_profile(profile, folder)
    except OSError as error:
        told.print(f"the profile cannot be kept in {folder}: {error.strerror}", style="yellow")
        return None
