"""The passes of one number of crops: warming up, timing, and the entry they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from app.core.profile_entry import ProfileEntry
from app.core.timings import Samples, Warmup
from app.encoder.encoder import StageTimes
from app.encoder.memory import in_device_memory, with_peak_bytes
from app.encoder.profile_plans import ProfilePlan
from app.encoder.scopes import Scope, Subject
from app.encoder.warmup import WarmupRule

T = TypeVar("T")


class Run(Protocol):
    """Runs a piece of work where the encoder's work is done, and returns its result."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def run_here(work: Callable[[], T], /) -> T:
    """The simplest :class:`Run`: in the caller's thread."""
    return work()


class Series:
    """What was measured of one number of crops so far; it grows."""

    def __init__(self, plan: ProfilePlan, subject: Subject) -> None:
        self.plan, self.subject = plan, subject
        self.vision: list[StageTimes] = []
        self._transfer_vision: list[float] = []
        self._full: list[float] = []
        self._warmup = Warmup(0, settled=False)
        self._peak_bytes: int | None = None

    def warm(
        self,
        scopes: Sequence[Scope],
        rule: WarmupRule,
        run: Run,
        *,
        clock: Callable[[], float],
        until: Callable[[], bool],
    ) -> None:
        """Warm every scope up, one pass of each a call, and see what memory a pass takes."""

        def call() -> float:
            return sum(self.time(scope, run) for scope in scopes)

        self._warmup = rule.warm(call, clock=clock, until=until)
        if not until():
            device, vision = self.subject.encoder.device, self.subject.vision
            _, self._peak_bytes = run(partial(with_peak_bytes, device, vision))
        self.vision, self._transfer_vision, self._full = [], [], []

    def entry(self) -> ProfileEntry:
        """The statistics of all passes. Raises ValueError where there are none of ``vision``."""
        samples = Samples(
            vision=tuple(times.vision_ms for times in self.vision),
            vit=tuple(times.vit_ms for times in self.vision),
            connector=tuple(times.connector_ms for times in self.vision),
            cpu=tuple(times.cpu_ms for times in self.vision),
            transfer_vision=tuple(self._transfer_vision),
            full=tuple(self._full),
        )
        return ProfileEntry.of(
            samples,
            rows=self.plan.rows,
            cols=self.plan.cols,
            patch_tokens=self.plan.patch_tokens,
            flops=self.plan.flops,
            warmup=self._warmup,
            peak_memory_bytes=self._peak_bytes,
        )

    def time(self, scope: Scope, run: Run) -> float:
        """Time one pass of a scope and keep it; its ms.

        Raises:
            OutOfDeviceMemory: it turned out not to fit.
        """
        if scope == "vision":
            self.vision.append(run(partial(in_device_memory, self.subject.vision)))
            return self.vision[-1].vision_ms
        whole_ms, kept = {
            "transfer_vision": (self.subject.transfer_vision_ms, self._transfer_vision),
            "full": (self.subject.full_ms, self._full),
        }[scope]
        kept.append(run(partial(in_device_memory, whole_ms)))
        return kept[-1]
