"""The passes of one number of crops: warming up, timing, and the entry they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from app.core.latency.profile import ProfileEntry
from app.core.latency.timings import Samples, Warmup
from app.encoder.device.memory import in_device_memory, with_peak_bytes
from app.encoder.encoder import StageTimes
from app.encoder.measuring.scopes import Scope, Subject
from app.encoder.measuring.warmup import WarmupRule
from app.encoder.synthetic import ProfilePlan

T = TypeVar("T")


class Run(Protocol):
    """Runs a piece of work where the encoder's work is done, and returns its result."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def run_here(work: Callable[[], T], /) -> T:
    """The simplest :class:`Run`: in the caller's thread."""
    return work()


@dataclass(slots=True)
class Passes:
    """Timed passes of each scope, in the order they were run."""

    vision: list[StageTimes] = field(default_factory=list)
    transfer_vision: list[float] = field(default_factory=list)
    full: list[float] = field(default_factory=list)

    def samples(self) -> Samples:
        return Samples(
            vision=tuple(times.vision_ms for times in self.vision),
            vit=tuple(times.vit_ms for times in self.vision),
            connector=tuple(times.connector_ms for times in self.vision),
            cpu=tuple(times.cpu_ms for times in self.vision),
            transfer_vision=tuple(self.transfer_vision),
            full=tuple(self.full),
        )


class Series:
    """The passes of one number of crops that were measured so far; they grow.

    Args:
        earlier: what an earlier measurement found, which this one goes on with.
    """

    def __init__(
        self, plan: ProfilePlan, subject: Subject, earlier: ProfileEntry | None = None
    ) -> None:
        self.plan, self.subject = plan, subject
        self._earlier = earlier.samples_ms if earlier else Samples((), (), ())
        self._first, self._timed = Passes(), Passes()
        self._warmup = Warmup(0, settled=False)
        self._peak_bytes = earlier.peak_memory_bytes if earlier else None

    def warm(
        self,
        scopes: Sequence[Scope],
        rule: WarmupRule,
        run: Run,
        *,
        clock: Callable[[], float],
        until: Callable[[], bool],
    ) -> None:
        """Warm every scope up, one pass of each a call; then time a first pass of each.

        The first passes stand for this count if time is up before a round comes to it. They give
        way to those of the rounds, which begin when all counts are warm.
        """
        untimed = Passes()

        def call() -> float:
            return sum(self._time(scope, run, untimed) for scope in scopes)

        self._warmup = rule.warm(call, clock=clock, until=until)
        for scope in scopes:
            if until():
                return
            if scope == "vision":
                self._time_watched(run)
            else:
                self._time(scope, run, self._first)

    def time(self, scope: Scope, run: Run) -> float:
        """Time one pass of a scope and keep it; its ms.

        Raises:
            OutOfDeviceMemory: it turned out not to fit.
        """
        return self._time(scope, run, self._timed)

    def passes(self, scope: Scope) -> int:
        """Timed passes of a scope, the earlier measurement's included, the first ones not."""
        return len(getattr(self._earlier, scope)) + len(getattr(self._timed, scope))

    def entry(self) -> ProfileEntry:
        """The statistics of all passes. Raises ValueError where there are none of ``vision``."""
        found = Passes(
            vision=self._timed.vision or self._first.vision,
            transfer_vision=self._timed.transfer_vision or self._first.transfer_vision,
            full=self._timed.full or self._first.full,
        ).samples()
        return ProfileEntry.of(
            self._earlier.then(found),
            rows=self.plan.rows,
            cols=self.plan.cols,
            patch_tokens=self.plan.patch_tokens,
            flops=self.plan.flops,
            warmup=self._warmup,
            peak_memory_bytes=self._peak_bytes,
        )

    @property
    def begun(self) -> bool:
        """Tell whether any pass was timed."""
        return bool(self._timed.vision or self._first.vision)

    def _time_watched(self, run: Run) -> None:
        """Time the first pass, and see what memory it takes."""
        device = self.subject.encoder.device
        vision = partial(in_device_memory, self.subject.vision)
        times, self._peak_bytes = run(partial(with_peak_bytes, device, vision))
        self._first.vision.append(times)

    def _time(self, scope: Scope, run: Run, into: Passes) -> float:
        if scope == "vision":
            into.vision.append(run(partial(in_device_memory, self.subject.vision)))
            return into.vision[-1].vision_ms
        whole_ms, times = {
            "transfer_vision": (self.subject.transfer_vision_ms, into.transfer_vision),
            "full": (self.subject.full_ms, into.full),
        }[scope]
        times.append(run(partial(in_device_memory, whole_ms)))
        return times[-1]
