"""Measure the profile of an encoder: its latency per number of crops.

docs/method/measuring.md explains the method. Each count is timed once at the end of its warm-up, so
a profile exists whenever time runs out. After the warm-up of all counts, rounds visit each (count,
scope) once, in shuffled order, with a large product among them. Every time is measured directly,
never by subtraction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from app.core.errors import EncoderError, OutOfDeviceMemory
from app.core.latency.profile import SCHEMA_VERSION, Profile, ProfileKey, continued
from app.core.latency.status import Phase, Progress
from app.core.plan.config import CropConfig, make_config
from app.core.plan.work import matmul_rate
from app.core.statistics import shuffled_rounds
from app.encoder.device.memory import on_device
from app.encoder.encoder import Encoder
from app.encoder.measuring.machine import MachineWatch, copy_gb_per_s, matmul_gflop_per_s
from app.encoder.measuring.record import Aim, conditions, profile_key
from app.encoder.measuring.series import SCOPES, Run, Scope, Series, Subject, run_here, subject_of
from app.encoder.measuring.warmup import (
    Pace,
    Timekeeper,
    WarmupRule,
    coarse_to_fine,
    default_warmup,
)
from app.encoder.synthetic import ProfilePlan, profile_plans

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_SHARE = 0.99
"""Elapsed time alone never shows more progress than this."""

YIELD_S = 2.0
"""Profiles on the way come every 2 s at most, because each is also written to disk."""


def default_scopes(device: torch.device) -> tuple[Scope, ...]:
    """Return all scopes for a GPU, and only ``vision`` for a CPU.

    A CPU has no bus, and ``full`` would double the time.
    """
    return SCOPES if device.type == "cuda" else ("vision",)


@dataclass(frozen=True, slots=True)
class ProfileWish:
    """Describe a profile to measure; None leaves a value to the device and the family.

    Attributes:
        counts: total crops; by default all up to the configuration's ``max_crops`` + 1.
        rounds: the most timed passes of each count; by default :func:`default_rounds`.
        warmup: by default :func:`default_warmup`.
        budget_s: no pass starts after this time, except the first timed pass of a warm count. The
            last profile is not complete if fewer than the least rounds fit. None sets no limit.
        config: the margins; by default the family's.
        scopes: the timed scopes, ``vision`` among them; by default :func:`default_scopes`.
    """

    counts: Sequence[int] | None = None
    rounds: int | None = None
    warmup: WarmupRule | None = None
    budget_s: float | None = None
    config: CropConfig | None = None
    scopes: Sequence[Scope] | None = None


@dataclass(frozen=True)
class Hooks:
    """Connect a measurement with its caller.

    Attributes:
        run: runs every piece of work on the device, one call each, so that other work can come
            between two passes.
        progress: called after each warm count and after each pass.
        until: asked before each pass; a true answer ends the measurement.
        clock: returns rising seconds.
    """

    run: Run = run_here
    progress: Callable[[Progress], None] = lambda _: None
    until: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic


def measure_profile(
    encoder: Encoder, wish: ProfileWish, hooks: Hooks | None = None, resume: Profile | None = None
) -> Iterator[Profile]:
    """Measure, and yield the profile so far now and then, and at the end.

    Every yielded profile has entries. No profile is yielded if ``until`` ends the measurement
    before the first pass.

    Args:
        resume: an earlier profile. Under the same conditions its lacking passes are added, else the
            profile is ignored.

    Raises:
        EncoderError: nothing was measured in time, or no count fits the memory.
        DeviceLost: the device takes no call any more.
    """
    hooks = hooks or Hooks()
    config = wish.config or make_config(encoder.family)
    plans = profile_plans(config, wish.counts or range(1, config.max_crops + 2))
    key = profile_key(encoder, config)
    keeper = Timekeeper(Pace.of(encoder.device, wish.rounds, wish.budget_s), hooks.clock)
    usable = resume if resume is not None and resume.key == key else None
    aim = Aim(plans, keeper.pace, usable)
    if usable and not aim.lacking():
        yield aim.reached(usable)
        return
    session = _Session(encoder, key, aim, keeper, wish, hooks)
    shown = hooks.clock()
    for _ in session.passes():
        if session.begun and hooks.clock() - shown >= YIELD_S:
            yield session.profile(final=False)
            shown = hooks.clock()
    if session.begun:
        yield session.profile(final=True)
    elif usable and usable.entries:
        yield usable
    elif not hooks.until():
        raise EncoderError(
            "nothing was measured: no number of crops fits the memory, or the time was up before "
            "the first pass"
        )


class _Session:
    """Run one measurement: the warm-up, then rounds."""

    def __init__(
        self,
        encoder: Encoder,
        key: ProfileKey,
        aim: Aim,
        keeper: Timekeeper,
        wish: ProfileWish,
        hooks: Hooks,
    ) -> None:
        self._encoder, self._key, self._aim = encoder, key, aim
        self._keeper, self._hooks = keeper, hooks
        self._plans = aim.lacking()
        self._scopes = wish.scopes or default_scopes(encoder.device)
        self._warmup = wish.warmup or default_warmup(encoder.device)
        self._watch = MachineWatch(encoder.device)
        self._rates: list[float] = []
        self._copy_rate: float | None = None
        self._series: dict[int, Series] = {}
        self._done = 0
        rounds = keeper.pace.most * len(self._scopes)
        self._work = sum(plan.total_crops for plan in self._plans) * (1 + rounds)

    @property
    def begun(self) -> bool:
        """Return True if any count has a timed pass."""
        return any(found.begun for found in self._series.values())

    def profile(self, *, final: bool) -> Profile:
        """Make the profile of all passes so far; ``final`` looks at the machine once more."""
        aim, key, pace = self._aim, self._key, self._keeper.pace
        own = {crops: found.entry() for crops, found in self._series.items() if found.begun}
        entries = aim.earlier() | own
        enough = pace.most if self._hooks.until() else pace.least
        complete = final and aim.others_complete() and self._has_rounds(enough)
        found = Profile(
            schema_version=SCHEMA_VERSION,
            model=key.model,
            overlap_margins=key.overlap_margins,
            rounds=aim.rounds(entries) if complete else pace.most,
            matmul_gflop_per_s=matmul_rate(self._rates),
            copy_gb_per_s=self._copy_rate,
            states=(),
            complete=complete,
            entries=tuple(entries[crops] for crops in sorted(entries)),
            **conditions(
                self._encoder,
                key,
                self._watch.before,
                self._watch.after() if final else None,
                cpu_ms=sum(sum(entry.samples_ms.cpu) for entry in entries.values()),
                wall_ms=sum(sum(entry.samples_ms.vision) for entry in entries.values()),
            ),
        )
        return continued(aim.profile, found) if aim.profile else found

    def _has_rounds(self, rounds: int) -> bool:
        """Return True if every count has ``rounds`` passes, without those of the warm-up."""
        found = [self._series.get(plan.total_crops) for plan in self._plans]
        return all(series and series.passes("vision") >= rounds for series in found)

    def passes(self) -> Iterator[None]:
        """Measure, and pause after each warm count and after each pass of the rounds."""
        if self._is_over():
            return
        self._copy_rate = self._run(partial(copy_gb_per_s, self._encoder.device))
        yield from self._warm_all()
        yield from self._rounds()

    def _run(self, work: Callable[[], T], /) -> T:
        return self._hooks.run(partial(on_device, self._encoder.device, work))

    def _warm_all(self) -> Iterator[None]:
        for number, plan in enumerate(coarse_to_fine(self._plans)):
            if self._is_over():
                return
            bounded = self._keeper.warmup(self._warmup, left=len(self._plans) - number)
            try:
                self._series[plan.total_crops] = self._warm(plan, bounded)
            except OutOfDeviceMemory as error:
                log.warning("%d crops in all are not measured: %s", plan.total_crops, error.detail)
            else:
                yield

    def _warm(self, plan: ProfilePlan, rule: WarmupRule) -> Series:
        def subject_if_it_fits() -> Subject:
            self._encoder.check_memory(plan.total_crops)
            return subject_of(self._encoder, plan, self._scopes)

        subject = self._run(subject_if_it_fits)
        series = Series(plan, subject, self._run, self._aim.earlier().get(plan.total_crops))
        scopes = subject.scopes(self._scopes)
        series.warm(scopes, rule, clock=self._hooks.clock, until=self._hooks.until)
        self._tell("warm-up", plan.total_crops, 0.0)
        return series

    def _rounds(self) -> Iterator[None]:
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
            started = self._hooks.clock()
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
            longest_s = max(longest_s, self._hooks.clock() - started)

    def _time(self, key: tuple[Series, Scope] | None) -> None:
        """Time one pass, or the large product if ``key`` is None."""
        if key is None:
            device, dtype = self._encoder.device, self._encoder.dtype
            self._rates.append(self._run(partial(matmul_gflop_per_s, device, dtype)))
            return
        series, scope = key
        last_ms = series.time(scope)
        self._tell("rounds", series.plan.total_crops, last_ms)

    def _is_over(self) -> bool:
        return self._hooks.until() or self._keeper.is_over()

    def _tell(self, phase: Phase, crops: int, last_ms: float) -> None:
        self._done += crops
        done = max(self._done / self._work, MOST_SHARE * self._keeper.share())
        self._hooks.progress(Progress(min(1.0, done), phase, crops, last_ms))


def _named(key: tuple[Series, Scope] | None) -> str:
    return "the product" if key is None else f"{key[1]} of {key[0].plan.total_crops} crops in all"
