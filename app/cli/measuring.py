"""Measure a profile with its progress on stderr. Imports torch, so it is imported late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from app.cli.output import console
from app.core.config import make_config
from app.core.errors import InvalidProfile
from app.core.families import Family
from app.core.profile import Profile, ProfileKey
from app.core.profile_entry import StateEntry
from app.core.profile_file import load_profile, profile_filename, save_profile
from app.encoder import loading
from app.encoder.device import choose_device, choose_dtype, device_name, dtype_name
from app.encoder.encoder import Encoder
from app.encoder.measure import Progress, measure_profile
from app.encoder.recording import profile_key
from app.encoder.scopes import SCOPES
from app.encoder.states import cold_start_of, measure_cold, measure_idle
from app.encoder.threads import use_fastest_threads
from app.encoder.warmup import WarmupRule, default_warmup
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

    Raises:
        CheckpointError, EncoderUnavailable: there is nothing to measure.
    """
    told = console(stderr=True)
    encoder = _load(request, settings, told)
    config = make_config(encoder.family, overlap_margins=request.overlap_margins)
    counts = sorted(set(request.counts or range(1, config.max_crops + 2)))
    default = default_warmup(encoder.device)
    warmup = default if request.warmup_s is None else WarmupRule(at_most_s=request.warmup_s)
    earlier = _earlier(profile_key(encoder, config), counts, request.resume, settings)
    shown = _Shown(told)
    saved: Path | None = None
    with shown.bar:
        for profile in measure_profile(
            encoder,
            counts,
            request.repeats,
            warmup,
            request.budget_s,
            earlier,
            config=config,
            scopes=SCOPES if request.full else None,
            progress=shown.update,
        ):
            saved = _save(profile, settings.profile_folder, told)
    if request.states:
        profile = replace(profile, states=_states(encoder, (counts[0], counts[-1]), request, told))
        saved = _save(profile, settings.profile_folder, told)
    return profile, saved


def _load(request: Request, settings: Settings, told: Console) -> Encoder:
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    where = f"{request.family.name} on {device_name(device)}, {dtype_name(dtype)}"
    with told.status(f"loading {where}"):
        if device.type == "cpu":
            use_fastest_threads(dtype, settings.threads)
        encoder = loading.load_encoder(
            request.family,
            checkpoint=request.checkpoint,
            device=device,
            dtype=dtype,
            runtime=settings.runtime,
            seed=settings.seed,
        )
    told.print(f"measuring {where}, runtime {encoder.runtime.name}, {encoder.weights} weights")
    return encoder


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


def _earlier(
    key: ProfileKey, counts: Sequence[int], resume: bool, settings: Settings
) -> Profile | None:
    """What is kept of the saved profile: all of it to resume, else the counts not asked for.

    Those are kept because the file is one: measuring two counts again must not lose the others.
    """
    try:
        profile = load_profile(settings.profile_folder / profile_filename(key))
    except InvalidProfile:
        return None
    if resume or not profile.matches(key):
        return profile
    others = tuple(entry for entry in profile.entries if entry.total_crops not in counts)
    return replace(profile, entries=others, matmul_gflop_per_s=None)


def _save(profile: Profile, folder: Path, told: Console) -> Path | None:
    try:
        return save_profile(profile, folder)
    except OSError as error:
        told.print(f"the profile cannot be kept in {folder}: {error.strerror}", style="yellow")
        return None


class _Shown:
    """The progress, in crops: a bar on a terminal, elsewhere a line each tenth of the way."""

    def __init__(self, told: Console) -> None:
        self._told, self._tenths = told, 0
        self.bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=told,
            transient=True,
            disable=not told.is_terminal,
        )
        self._task = self.bar.add_task("starting", total=1.0)

    def update(self, progress: Progress) -> None:
        """Show what was done last."""
        did = f"{progress.last_ms:.1f} ms" if progress.phase == "rounds" else "warm"
        what = f"{progress.phase}: {progress.total_crops} crops, {did}"
        self.bar.update(self._task, completed=progress.done, description=what)
        tenths = int(progress.done * 10)
        if tenths > self._tenths and not self._told.is_terminal:
            self._told.print(f"{tenths * 10} %, {what}")
        self._tenths = tenths
