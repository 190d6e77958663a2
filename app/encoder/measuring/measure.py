"""Measure the profile of an encoder: its latency per number of crops.

docs/method/measuring.md explains the method. Each count is timed once at the end of its warm-up, so
a profile exists whenever time runs out. After the warm-up of all counts, rounds visit each (count,
scope) once, in shuffled order, with a large product among them. Every time is measured directly,
never by subtraction.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from app.core.errors import EncoderError, OutOfDeviceMemory
from app.core.latency.profile import SCHEMA_VERSION, Profile, ProfileEntry, continued
from app.core.latency.status import Phase, Progress
from app.core.plan.config import CropConfig, make_config
from app.core.plan.work import matmul_rate
from app.core.statistics import shuffled_rounds
from app.encoder.device.memory import on_device
from app.encoder.encoder import Encoder
from app.encoder.measuring.machine import MachineWatch, copy_gb_per_s, matmul_gflop_per_s
from app.encoder.measuring.pacing import (
    Hooks,
    Timekeeper,
    WarmupRule,
    coarse_to_fine,
    default_warmup,
)
from app.encoder.measuring.record import conditions, profile_key
from app.encoder.measuring.series import SCOPES, Scope, Series, Subject, subject_of
from app.encoder.synthetic import ProfilePlan, profile_plans

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_SHARE = 0.99
"""Elapsed time alone never shows more progress than this."""

YIELD_S = 2.0
"""Profiles on the way come every 2 s at most, because each is also written to disk."""

DEFAULT_SCOPES: dict[str, tuple[Scope, ...]] = {"cuda": SCOPES, "cpu": ("vision",)}
"""Scopes by kind of device. A CPU has no bus, and ``full`` would double the time."""


@dataclass(frozen=True, slots=True)
class ProfileWish:
    """Describe a profile to measure; None leaves a value to the device and the family.

    Attributes:
        counts: total crops; by default all up to the configuration's ``max_crops`` + 1.
        rounds: the most timed passes of each count; by default :data:`DEFAULT_ROUNDS`.
        warmup: by default :func:`default_warmup`.
        budget_s: no pass starts after this time, except the first timed pass of a warm count. The
            last profile is not complete if fewer than the least rounds fit. None sets no limit.
        config: the margins; by default the family's.
        scopes: the timed scopes, ``vision`` among them; by default :data:`DEFAULT_SCOPES`.
    """

    counts: Sequence[int] | None = None
    rounds: int | None = None
    warmup: WarmupRule | None = None
    budget_s: float | None = None
    config: CropConfig | None = None
    scopes: Sequence[Scope] | None = None


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
    session = _Session(encoder, wish, hooks, resume)
    if session.reached is not None:
        yield session.reached
        return
    shown = hooks.clock()
    for _ in session.passes():
        if session.begun and hooks.clock() - shown >= YIELD_S:
            yield session.profile(final=False)
            shown = hooks.clock()
    if session.begun:
        yield session.profile(final=True)
    elif session.earlier and session.earlier.entries:
        yield session.earlier
    elif not hooks.until():
        raise EncoderError(
            "nothing was measured: no number of crops fits the memory, or the time was up before "
            "the first pass"
        )


class _Session:
    """Run one measurement: the warm-up, then rounds.

    Attributes:
        earlier: the earlier profile if its conditions are the same, else None.
    """

    def __init__(
        self, encoder: Encoder, wish: ProfileWish, hooks: Hooks, resume: Profile | None
    ) -> None:
        config = wish.config or make_config(encoder.family)
        self._encoder, self._hooks = encoder, hooks
        self._key = profile_key(encoder, config)
        self._keeper = Timekeeper(encoder.device, wish.rounds, wish.budget_s, hooks.clock)
        self.earlier = resume if resume is not None and resume.key == self._key else None
        entries = self.earlier.entries if self.earlier else ()
        self._earlier_entries = {entry.total_crops: entry for entry in entries}
        self._wished = profile_plans(config, wish.counts or range(1, config.max_crops + 2))
        self._lacking = [
            plan
            for plan in self._wished
            if _passes(self._earlier_entries, plan) < self._keeper.most
        ]
        self._scopes = wish.scopes or DEFAULT_SCOPES[encoder.device.type]
        self._warmup = wish.warmup or default_warmup(encoder.device)
        self._watch = MachineWatch(encoder.device)
        self._rates: list[float] = []
        self._copy_rate: float | None = None
        self._series: dict[int, Series] = {}
        self._done = 0
        rounds = self._keeper.most * len(self._scopes)
        self._work = sum(plan.total_crops for plan in self._lacking) * (1 + rounds)

    @property
    def reached(self) -> Profile | None:
        """Return the earlier profile as the result if no wished count lacks a pass, else None."""
        if self.earlier is None or self._lacking:
            return None
        rounds = self._fewest_passes(self._earlier_entries)
        return replace(self.earlier, complete=self._others_complete(), rounds=rounds)

    def _fewest_passes(self, entries: Mapping[int, ProfileEntry]) -> int:
        """Return the fewest passes of a wished count, at most the wished rounds."""
        return min(self._keeper.most, *(_passes(entries, plan) for plan in self._wished))

    def _others_complete(self) -> bool:
        """Return True if every earlier count without a wish has passes enough."""
        wished = {plan.total_crops for plan in self._wished}
        return (self.earlier is not None and self.earlier.complete) or all(
            len(entry.samples_ms.vision) >= self._keeper.least
            for crops, entry in self._earlier_entries.items()
            if crops not in wished
        )

    @property
    def begun(self) -> bool:
        """Return True if any count has a timed pass."""
        return any(found.begun for found in self._series.values())

    def profile(self, *, final: bool) -> Profile:
        """Make the profile of all passes so far; ``final`` looks at the machine once more."""
        key, keeper = self._key, self._keeper
        own = {crops: found.entry() for crops, found in self._series.items() if found.begun}
        entries = self._earlier_entries | own
        enough = keeper.most if self._hooks.until() else keeper.least
        complete = final and self._others_complete() and self._has_rounds(enough)
        found = Profile(
            schema_version=SCHEMA_VERSION,
            model=key.model,
            overlap_margins=key.overlap_margins,
            rounds=self._fewest_passes(entries) if complete else keeper.most,
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
        return continued(self.earlier, found) if self.earlier else found

    def _has_rounds(self, rounds: int) -> bool:
        """Return True if every count has ``rounds`` passes, without those of the warm-up."""
        found = [self._series.get(plan.total_crops) for plan in self._lacking]
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
        for number, plan in enumerate(coarse_to_fine(self._lacking)):
            if self._is_over():
                return
            bounded = self._keeper.warmup(self._warmup, left=len(self._lacking) - number)
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
        earlier = self._earlier_entries.get(plan.total_crops)
        series = Series(plan, subject, self._run, earlier)
        series.warm(subject.scopes(self._scopes), rule, self._hooks)
        self._tell("warm-up", plan.total_crops, 0.0)
        return series

    def _rounds(self) -> Iterator[None]:
        keys: list[tuple[Series, Scope] | None] = [
            (series, scope)
            for series in self._series.values()
            for scope in series.subject.scopes(self._scopes)
        ]
        most, longest_s = self._keeper.most, 0.0
        too_large: set[tuple[Series, Scope] | None] = set()
        for number, order in enumerate(shuffled_rounds([*keys, None], most)):
            lacking = [
                key
                for key in order
                if key not in too_large and (key is None or key[0].passes(key[1]) < most)
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


def _passes(entries: Mapping[int, ProfileEntry], plan: ProfilePlan) -> int:
    """Count the timed passes of a plan; ``entries`` are by total crops."""
    entry = entries.get(plan.total_crops)
    return len(entry.samples_ms.vision) if entry else 0
