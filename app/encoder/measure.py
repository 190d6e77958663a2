"""Measuring an encoder: a profile of its latency per number of crops.

The method is docs/measuring.md. Every count is warm before any is timed; then rounds visit each
(count, scope) once, in shuffled order, with a large product among them. What is timed is timed
directly: nothing is subtracted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Literal

import torch

from app.core.config import CropConfig, make_config
from app.core.cost import matmul_rate
from app.core.errors import OutOfDeviceMemory
from app.core.profile import Profile
from app.core.profile_entry import ProfileEntry
from app.core.rounds import shuffled_rounds
from app.encoder.device import copy_gb_per_s, matmul_gflop_per_s
from app.encoder.encoder import Encoder
from app.encoder.machine import MachineWatch
from app.encoder.profile_plans import ProfilePlan, profile_plans
from app.encoder.recording import Calibration, build_profile, profile_key
from app.encoder.scopes import SCOPES, Scope, subject_of
from app.encoder.series import Run, Series, run_here
from app.encoder.warmup import WarmupRule, default_warmup

Phase = Literal["warm-up", "rounds"]

log = logging.getLogger(__name__)

YIELD_S = 2.0
"""Profiles on the way are given at least this far apart: each is also written to disk."""


def default_rounds(device: torch.device) -> int:
    """Passes per count that take a reasonable time: 7 on a CPU, 200 on a GPU."""
    return 200 if device.type == "cuda" else 7


def default_scopes(device: torch.device) -> tuple[Scope, ...]:
    """All of them on a GPU. On a CPU there is no bus, and `full` would double the time."""
    return SCOPES if device.type == "cuda" else ("vision",)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a measurement is: ``done`` from 0 to 1, and what was done last."""

    done: float
    phase: Phase
    total_crops: int
    last_ms: float


def measure_profile(
    encoder: Encoder,
    counts: Sequence[int] | None = None,
    rounds: int | None = None,
    warmup: WarmupRule | None = None,
    budget_s: float | None = None,
    resume: Profile | None = None,
    *,
    config: CropConfig | None = None,
    scopes: Sequence[Scope] | None = None,
    run: Run = run_here,
    progress: Callable[[Progress], None] = lambda _: None,
    until: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Profile]:
    """Measure, and yield the profile so far now and then, and at the end.

    Args:
        counts: total crops; by default all up to the configuration's ``max_crops`` + 1.
        rounds: timed passes of each; by default :func:`default_rounds`.
        warmup: by default :func:`default_warmup`.
        budget_s: time after which no further pass starts. The last profile is then not complete.
            None means no limit.
        resume: an earlier profile; its full entries are kept if it was measured under the same
            conditions, else it is ignored.
        config: margins to measure with; by default the family's.
        scopes: what is timed; by default :func:`default_scopes`. ``vision`` always is.
        run: does every piece of work on the device, one call each, so that other work can come
            between two passes.
        until: asked before each pass; once it is true the measurement ends as with its budget.

    Yields at least once, even if nothing is left to measure or the budget is nothing.
    """
    rounds = rounds or default_rounds(encoder.device)
    config = config or make_config(encoder.family)
    plans = profile_plans(config, counts or range(1, config.max_crops + 2))
    key = profile_key(encoder, config)
    kept = resume if resume is not None and resume.matches(key) else None
    entries = {entry.total_crops: entry for entry in kept.entries} if kept else {}
    waiting = [plan for plan in plans if not _is_full(entries.get(plan.total_crops), rounds)]
    if kept and not waiting:
        yield replace(kept, complete=True)
        return
    session = _Session(
        encoder,
        waiting,
        rounds,
        scopes or default_scopes(encoder.device),
        run=run,
        progress=progress,
        over=_either(until, _deadline(budget_s, clock)),
    )
    shown = clock()

    def profile(final: bool) -> Profile:
        everything = entries | session.entries()
        return build_profile(
            encoder,
            key,
            list(everything.values()),
            session.calibration(final),
            rounds=rounds,
            complete=all(_is_full(everything.get(plan.total_crops), rounds) for plan in plans),
        )

    for _ in session.passes(warmup or default_warmup(encoder.device), clock):
        if clock() - shown >= YIELD_S:
            yield profile(final=False)
            shown = clock()
    yield profile(final=True)


class _Session:
    """One measurement under way: warm-up, then rounds."""

    def __init__(
        self,
        encoder: Encoder,
        plans: Sequence[ProfilePlan],
        rounds: int,
        scopes: Sequence[Scope],
        *,
        run: Run,
        progress: Callable[[Progress], None],
        over: Callable[[], bool],
    ) -> None:
        self._encoder, self._plans = encoder, plans
        self._rounds, self._scopes = rounds, scopes
        self._run, self._progress, self._over = run, progress, over
        self._watch = MachineWatch(encoder.device)
        self._rates: list[float] = []
        self._copy_rate: float | None = None
        self._series: dict[int, Series] = {}
        self._done = 0
        self._work = sum(plan.total_crops for plan in plans) * (1 + rounds * len(scopes))

    def entries(self) -> dict[int, ProfileEntry]:
        """The counts that were timed at least once, by total crops."""
        return {crops: found.entry() for crops, found in self._series.items() if found.vision}

    def calibration(self, final: bool) -> Calibration:
        """What was measured of the machine itself; ``final``: look at it once more."""
        return Calibration(
            matmul_gflop_per_s=matmul_rate(self._rates),
            copy_gb_per_s=self._copy_rate,
            machine_before=self._watch.before,
            machine_after=self._watch.after() if final else None,
        )

    def passes(self, rule: WarmupRule, clock: Callable[[], float]) -> Iterator[None]:
        """Measure, pausing after each timed pass."""
        if self._over():
            return
        device, dtype = self._encoder.device, self._encoder.dtype
        self._copy_rate = self._run(partial(copy_gb_per_s, device))
        for plan in self._plans:
            if self._over():
                return
            try:
                self._series[plan.total_crops] = self._warm(plan, rule, clock)
            except OutOfDeviceMemory as error:
                log.warning("%d crops in all are not measured: %s", plan.total_crops, error.detail)
        keys: list[tuple[Series, Scope] | None] = [
            (series, scope)
            for series in self._series.values()
            for scope in series.subject.scopes(self._scopes)
        ]
        for key in chain.from_iterable(shuffled_rounds([*keys, None], self._rounds)):
            if self._over():
                return
            if key is None:  # once a round: the rate of the same minute, not of the start
                self._rates.append(self._run(partial(matmul_gflop_per_s, device, dtype)))
                continue
            series, scope = key
            last_ms = series.time(scope, self._run)
            self._tell("rounds", series.plan.total_crops, last_ms)
            yield

    def _warm(self, plan: ProfilePlan, rule: WarmupRule, clock: Callable[[], float]) -> Series:
        self._encoder.check_memory(plan.total_crops)
        subject = self._run(partial(subject_of, self._encoder, plan, self._scopes))
        series = Series(plan, subject)
        series.warm(subject.scopes(self._scopes), rule, self._run, clock=clock, until=self._over)
        self._tell("warm-up", plan.total_crops, 0.0)
        return series

    def _tell(self, phase: Phase, crops: int, last_ms: float) -> None:
        self._done += crops
        self._progress(Progress(min(1.0, self._done / self._work), phase, crops, last_ms))


def _deadline(budget_s: float | None, clock: Callable[[], float]) -> Callable[[], bool]:
    if budget_s is None:
        return lambda: False
    end = clock() + budget_s
    return lambda: clock() >= end


def _either(*conditions: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: any(condition() for condition in conditions)


def _is_full(entry: ProfileEntry | None, rounds: int) -> bool:
    return entry is not None and len(entry.samples_ms.vision) >= rounds
