"""Measure a profile with its progress on stderr. Imports torch, so it is imported late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from app.cli.output import console
from app.core.config import make_config
from app.core.errors import InvalidProfile
from app.core.families import Family
from app.core.profile import Profile, ProfileKey
from app.core.profile_file import load_profile, profile_filename, save_profile
from app.encoder import loading
from app.encoder.device import choose_device, choose_dtype, device_name, dtype_name
from app.encoder.encoder import PreparedCrops, StageTimes
from app.encoder.measure import default_repeats, measure_profile, profile_key
from app.encoder.threads import use_fastest_threads
from app.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured. None leaves it to the family or the device."""

    family: Family
    overlap_margins: tuple[int, int] | None
    counts: Sequence[int] | None
    repeats: int | None
    warmup: int
    budget_s: float | None
    checkpoint: Path | None
    resume: bool


def run(request: Request, settings: Settings) -> tuple[Profile, Path | None]:
    """Measure, saving after each count; the profile and its file, None where it cannot be kept.

    Raises:
        CheckpointError, EncoderUnavailable: there is nothing to measure.
    """
    told = console(stderr=True)
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
    config = make_config(encoder.family, overlap_margins=request.overlap_margins)
    counts = sorted(set(request.counts or range(1, config.max_crops + 2)))
    repeats = request.repeats or default_repeats(device)
    earlier = _earlier(profile_key(encoder, config), counts, request.resume, settings)
    shown = _Shown(told, counts, request.warmup + repeats)
    saved: Path | None = None
    with shown.progress:
        for profile in measure_profile(
            encoder,
            counts,
            repeats,
            request.warmup,
            request.budget_s,
            earlier,
            config=config,
            run=shown.run,
        ):
            saved = _save(profile, settings.profile_folder, told)
            shown.report(profile)
    return profile, saved


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
    """The progress, in crops: a pass over many takes as much longer as there are more."""

    def __init__(self, told: Console, counts: Sequence[int], passes: int) -> None:
        self._told = told
        self._passes = passes
        self._crops = 0
        self._done = 0
        self.progress = Progress(
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
        total = sum(counts) * passes
        self._task = self.progress.add_task("how fast one product is", total=total)

    def run(self, work: Callable[[], T], /) -> T:
        """Do a piece of work and show what it was."""
        result = work()
        if isinstance(result, PreparedCrops):
            self._crops, self._done = result.total_crops, 0
        elif isinstance(result, StageTimes):
            self._done += 1
            self.progress.update(
                self._task,
                advance=self._crops,
                description=f"{self._crops} crops: pass {self._done} of {self._passes}, "
                f"{result.vision_ms:.1f} ms",
            )
        return result

    def report(self, profile: Profile) -> None:
        """A line for the count that was just measured."""
        entry = profile.entry(self._crops)
        if entry is not None and self._done:
            times = f"p50 {entry.vision_ms.p50:.1f} ms, p95 {entry.vision_ms.p95:.1f} ms"
            self._told.print(f"{entry.total_crops} crops in all: {times}")
