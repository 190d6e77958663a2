"""Measuring an encoder: a profile of its latency per number of crops, one count after the other.

A pass runs from crops on the device to vision tokens ready, and nothing else is timed.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar

import torch

from app import __version__
from app.core.config import CropConfig, make_config
from app.core.profile import SCHEMA_VERSION, Profile, ProfileKey
from app.core.profile_entry import ProfileEntry
from app.core.statistics import settled
from app.core.timings import Samples, Warmup
from app.encoder.device import device_name, dtype_name, matmul_gflop_per_s
from app.encoder.encoder import Encoder, PreparedCrops, StageTimes
from app.encoder.profile_plans import ProfilePlan, profile_plans, synthetic_crops

T = TypeVar("T")


MIN_SAMPLES = 3
"""A count that the budget cuts short is kept from this many passes on."""


def default_repeats(device: torch.device) -> int:
    """Passes per count that a profile takes in reasonable time: 5 on a CPU, 50 on a GPU."""
    return 50 if device.type == "cuda" else 5


class Run(Protocol):
    """Runs a piece of work where the encoder's work is done, and returns its result."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def run_here(work: Callable[[], T], /) -> T:
    """The simplest :class:`Run`: in the caller's thread."""
    return work()


@dataclass(frozen=True, slots=True)
class Measurement:
    """The passes of one count, in the order they were run, after those that warmed it up."""

    passes: tuple[StageTimes, ...]
    warmup: Warmup


def measure(
    encoder: Encoder,
    prepared: PreparedCrops,
    repeats: int,
    warmup: int,
    *,
    run: Run = run_here,
    until: Callable[[], bool] = lambda: False,
) -> Measurement:
    """Time ``repeats`` passes after ``warmup`` untimed ones; each is one call of ``run``.

    ``until`` is asked before every pass and ends the measurement early when it says True.
    """
    untimed: list[float] = []
    passes: list[StageTimes] = []
    for number in range(warmup + repeats):
        if until():
            break
        times = run(lambda: encoder.run_timed(prepared))
        if number < warmup:
            untimed.append(times.vision_ms)
        else:
            passes.append(times)
    return Measurement(tuple(passes), Warmup(len(untimed), settled(untimed)))


def profile_entry(plan: ProfilePlan, measured: Measurement) -> ProfileEntry:
    """The statistics of a count. Raises ValueError where there are no passes."""
    samples = Samples(
        vision=tuple(times.vision_ms for times in measured.passes),
        vit=tuple(times.vit_ms for times in measured.passes),
        connector=tuple(times.connector_ms for times in measured.passes),
    )
    return ProfileEntry.of(
        samples,
        rows=plan.rows,
        cols=plan.cols,
        patch_tokens=plan.patch_tokens,
        flops=plan.flops,
        warmup=measured.warmup,
    )


def profile_key(encoder: Encoder, config: CropConfig | None = None) -> ProfileKey:
    """The conditions a profile of this encoder is measured under, now."""
    margins = (config or make_config(encoder.family)).overlap_margins
    return ProfileKey(
        model=encoder.family.name,
        device=device_name(encoder.device),
        device_type="cuda" if encoder.device.type == "cuda" else "cpu",
        dtype=dtype_name(encoder.dtype),
        runtime=encoder.runtime.name,
        weights=encoder.weights,
        overlap_margins=margins,
        threads=torch.get_num_threads(),
        torch_version=torch.__version__,
    )


def build_profile(
    key: ProfileKey,
    entries: Sequence[ProfileEntry],
    *,
    rounds: int,
    matmul_gflop_per_s: float | None,
    complete: bool,
) -> Profile:
    """The record of these entries, stamped with versions and the present time."""
    return Profile(
        schema_version=SCHEMA_VERSION,
        model=key.model,
        device=key.device,
        device_type=key.device_type,
        dtype=key.dtype,
        runtime=key.runtime,
        weights=key.weights,
        overlap_margins=key.overlap_margins,
        threads=key.threads,
        versions={
            "python": platform.python_version(),
            "torch": key.torch_version,
            "crop_planner": __version__,
        },
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        rounds=rounds,
        matmul_gflop_per_s=matmul_gflop_per_s,
        copy_gb_per_s=None,
        fidelity=None,
        machine_before=None,
        machine_after=None,
        contended=None,
        states=(),
        complete=complete,
        entries=tuple(sorted(entries, key=lambda entry: entry.total_crops)),
    )


def measure_profile(
    encoder: Encoder,
    counts: Sequence[int] | None = None,
    repeats: int = 20,
    warmup: int = 2,
    budget_s: float | None = None,
    resume: Profile | None = None,
    *,
    config: CropConfig | None = None,
    run: Run = run_here,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Profile]:
    """Measure count after count, smallest first, and yield the profile so far after each.

    Args:
        counts: total crops; by default all up to the configuration's ``max_crops`` + 1.
        budget_s: time after which no further pass starts. The last profile is then not complete;
            a count cut short is kept from ``MIN_SAMPLES`` passes on. None means no limit.
        resume: an earlier profile; its full entries are kept if it was measured under the same
            conditions, else it is ignored.
        config: margins to measure with; by default the family's.
        run: does every piece of work on the device, one call each, so that other work can come
            between two passes.

    Yields at least once, even if nothing is left to measure or the budget is nothing.
    """
    deadline = None if budget_s is None else clock() + budget_s

    def spent() -> bool:
        return deadline is not None and clock() >= deadline

    config = config or make_config(encoder.family)
    plans = profile_plans(config, counts or range(1, config.max_crops + 2))
    key = profile_key(encoder, config)
    kept = resume if resume is not None and resume.matches(key) else None
    entries = {entry.total_crops: entry for entry in kept.entries} if kept else {}
    waiting = [plan for plan in plans if not _is_full(entries.get(plan.total_crops), repeats)]
    if kept and not waiting:
        yield replace(kept, complete=True)
        return
    matmul = kept.matmul_gflop_per_s if kept else None
    if matmul is None and not spent():
        matmul = run(partial(matmul_gflop_per_s, encoder.device, encoder.dtype))
    for plan in waiting:
        if not spent():
            prepared = run(partial(synthetic_crops, plan, encoder.device, encoder.dtype))
            measured = measure(encoder, prepared, repeats, warmup, run=run, until=spent)
            if len(measured.passes) >= min(MIN_SAMPLES, repeats):
                entries[plan.total_crops] = profile_entry(plan, measured)
        yield build_profile(
            key,
            list(entries.values()),
            rounds=repeats,
            matmul_gflop_per_s=matmul,
            complete=all(_is_full(entries.get(plan.total_crops), repeats) for plan in plans),
        )
        if spent():
            return


def _is_full(entry: ProfileEntry | None, repeats: int) -> bool:
    return entry is not None and len(entry.samples_ms.vision) >= repeats
