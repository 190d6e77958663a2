"""Measure the profile of an encoder: its latency per number of crops.

docs/method/measuring.md explains the method. Each count is timed once at the end of its warm-up, so
a profile exists at any end of time. After the warm-up of all counts, rounds visit each (count,
scope) once, in shuffled order, with a large product among them. Every time is measured directly,
never by subtraction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from app.core.errors import EncoderError, OutOfDeviceMemory
from app.core.latency.profile import Profile, ProfileEntry, continued
from app.core.latency.status import Phase, Progress
from app.core.plan.config import CropConfig, make_config
from app.core.plan.work import matmul_rate
from app.core.statistics import shuffled_rounds
from app.encoder.device.memory import in_device_memory
from app.encoder.encoder import Encoder
from app.encoder.measuring.calibration import copy_gb_per_s, matmul_gflop_per_s
from app.encoder.measuring.machine import MachineWatch
from app.encoder.measuring.record import Aim, Calibration, Entries, build_profile, profile_key
from app.encoder.measuring.series import SCOPES, Run, Scope, Series, Subject, run_here, subject_of
from app.encoder.measuring.warmup import (
    Pace,
    Timekeeper,
    WarmupRule,
    coarse_to_fine,
    default_warmup,
)
from app.encoder.synthetic import ProfilePlan, profile_plans

log = logging.getLogger(__name__)

MOST_SHARE = 0.99
"""The most progress by spent time alone: only the last pass makes the measurement done."""

YIELD_S = 2.0
"""The least seconds between two profiles on the way, as each is also written to disk."""


def default_scopes(device: torch.device) -> tuple[Scope, ...]:
    """Return all scopes for a GPU. A CPU has no bus, and ``full`` would double the time."""
    return SCOPES if device.type == "cuda" else ("vision",)


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

    Every yielded profile has entries. No profile is yielded if ``until`` ends the measurement
    before the first pass.

    Args:
        counts: total crops; by default all up to the configuration's ``max_crops`` + 1.
        rounds: the most timed passes of each count; by default :func:`default_rounds`.
        warmup: by default :func:`default_warmup`.
        budget_s: no pass starts after so many seconds. The last profile is not complete if fewer
            than the least rounds fit. None sets no limit.
        resume: an earlier profile. Under the same conditions its lacking passes are added, else the
            profile is ignored.
        config: the margins; by default the family's.
        scopes: the timed scopes, ``vision`` among them; by default :func:`default_scopes`.
        run: runs every piece of work on the device, one call each, so that other work can come
            between two passes.
        until: asked before each pass; a true answer ends the measurement.

    Raises:
        EncoderError: nothing was measured in time, or no count fits the memory.
    """
    config = config or make_config(encoder.family)
    plans = profile_plans(config, counts or range(1, config.max_crops + 2))
    key = profile_key(encoder, config)
    keeper = Timekeeper(Pace.of(encoder.device, rounds, budget_s), clock)
    usable = resume if resume is not None and resume.matches(key) else None
    aim = Aim(plans, keeper.pace, usable)
    if usable and not aim.lacking():
        yield aim.reached(usable)
        return
    session = _Session(
        encoder,
        aim.lacking(),
        aim.earlier(),
        keeper,
        scopes or default_scopes(encoder.device),
        run=run,
        progress=progress,
        cancelled=until,
    )

    def profile(final: bool) -> Profile:
        entries = aim.earlier() | session.entries()
        enough = keeper.pace.most if until() else keeper.pace.least
        complete = final and aim.others_complete() and session.has_rounds(enough)
        found = build_profile(
            encoder,
            key,
            list(entries.values()),
            session.calibration(final),
            rounds=aim.rounds(entries) if complete else keeper.pace.most,
            complete=complete,
        )
        return continued(usable, found) if usable else found

    shown = clock()
    for _ in session.passes(warmup or default_warmup(encoder.device), clock):
        if session.begun and clock() - shown >= YIELD_S:
            yield profile(final=False)
            shown = clock()
    if session.begun:
        yield profile(final=True)
    elif usable and usable.entries:
        yield usable
    elif not until():
        raise EncoderError(
            "nothing was measured: no number of crops fits the memory, or the time was up before "
            "the first pass"
        )


class _Session:
    """Run one measurement: the warm-up, then rounds."""

    def __init__(
        self,
        encoder: Encoder,
        plans: Sequence[ProfilePlan],
        earlier: Entries,
        keeper: Timekeeper,
        scopes: Sequence[Scope],
        *,
        run: Run,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._encoder, self._plans, self._earlier = encoder, plans, earlier
        self._keeper, self._scopes = keeper, scopes
        self._run, self._progress, self._cancelled = run, progress, cancelled
        self._watch = MachineWatch(encoder.device)
        self._rates: list[float] = []
        self._copy_rate: float | None = None
        self._series: dict[int, Series] = {}
        self._done = 0
        rounds = keeper.pace.most * len(scopes)
        self._work = sum(plan.total_crops for plan in plans) * (1 + rounds)

    @property
    def begun(self) -> bool:
        """Return True if any count has a timed pass."""
        return any(found.begun for found in self._series.values())

    def entries(self) -> dict[int, ProfileEntry]:
        """Return the entries of the counts with a timed pass, by total crops."""
        return {crops: found.entry() for crops, found in self._series.items() if found.begun}

    def has_rounds(self, rounds: int) -> bool:
        """Return True if every count has ``rounds`` passes, without those of the warm-up."""
        found = [self._series.get(plan.total_crops) for plan in self._plans]
        return all(series and series.passes("vision") >= rounds for series in found)

    def calibration(self, final: bool) -> Calibration:
        """Return the measures of the machine itself; ``final`` looks at its state once more."""
        return Calibration(
            matmul_gflop_per_s=matmul_rate(self._rates),
            copy_gb_per_s=self._copy_rate,
            machine_before=self._watch.before,
            machine_after=self._watch.after() if final else None,
        )

    def passes(self, rule: WarmupRule, clock: Callable[[], float]) -> Iterator[None]:
        """Measure, and pause after each warm count and after each pass of the rounds."""
        if self._is_over():
            return
        self._copy_rate = self._run(partial(copy_gb_per_s, self._encoder.device))
        yield from self._warm_all(rule, clock)
        yield from self._rounds(clock)

    def _warm_all(self, rule: WarmupRule, clock: Callable[[], float]) -> Iterator[None]:
        for number, plan in enumerate(coarse_to_fine(self._plans)):
            if self._is_over():
                return
            bounded = self._keeper.warmup(rule, left=len(self._plans) - number)
            try:
                self._series[plan.total_crops] = self._warm(plan, bounded, clock)
            except OutOfDeviceMemory as error:
                log.warning("%d crops in all are not measured: %s", plan.total_crops, error.detail)
            else:
                yield

    def _warm(self, plan: ProfilePlan, rule: WarmupRule, clock: Callable[[], float]) -> Series:
        def subject_if_it_fits() -> Subject:
            self._encoder.check_memory(plan.total_crops)
            return subject_of(self._encoder, plan, self._scopes)

        subject = self._run(subject_if_it_fits)
        series = Series(plan, subject, self._earlier.get(plan.total_crops))
        scopes = subject.scopes(self._scopes)
        series.warm(scopes, rule, self._run, clock=clock, until=self._cancelled)
        self._tell("warm-up", plan.total_crops, 0.0)
        return series

    def _rounds(self, clock: Callable[[], float]) -> Iterator[None]:
        keys: list[tuple[Series, Scope] | None] = [
            (series, scope)
            for series in self._series.values()
            for scope in series.subject.scopes(self._scopes)
        ]
        pace, longest_s = self._keeper.pace, 0.0
        too_large: set[tuple[Series, Scope] | None] = set()
        for number, order in enumerate(shuffled_rounds([*keys, None], pace.most)):
            lacking = [
                key
                for key in order
                if key not in too_large and (key is None or key[0].passes(key[1]) < pace.most)
            ]
            if lacking in ([], [None]) or not self._keeper.allows_round(number, longest_s):
                return
            started = clock()
            for key in lacking:
                if self._is_over():
                    return
                try:
                    self._time(key)
                except OutOfDeviceMemory as error:  # other work takes memory, too
                    log.warning("%s is measured no further: %s", _named(key), error.detail)
                    too_large.add(key)
                    continue
                yield
            longest_s = max(longest_s, clock() - started)

    def _time(self, key: tuple[Series, Scope] | None) -> None:
        """Time one pass, or for None the large product, once a round, for a rate of the minute."""
        if key is None:
            device, dtype = self._encoder.device, self._encoder.dtype
            rate = partial(matmul_gflop_per_s, device, dtype)
            self._rates.append(self._run(partial(in_device_memory, rate)))
            return
        series, scope = key
        last_ms = series.time(scope, self._run)
        self._tell("rounds", series.plan.total_crops, last_ms)

    def _is_over(self) -> bool:
        return self._cancelled() or self._keeper.is_over()

    def _tell(self, phase: Phase, crops: int, last_ms: float) -> None:
        self._done += crops
        done = max(self._done / self._work, MOST_SHARE * self._keeper.share())
        self._progress(Progress(min(1.0, done), phase, crops, last_ms))


def _named(key: tuple[Series, Scope] | None) -> str:
    return "the product" if key is None else f"{key[1]} of {key[0].plan.total_crops} crops in all"
