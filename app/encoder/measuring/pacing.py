"""Pace a measurement: warm up by a rule, keep rounds within a budget, and call the caller's hooks.

The module needs no torch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from app.core.latency.status import Progress
from app.core.latency.timings import Warmup
from app.core.statistics import FEWEST, settled

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class WarmupRule:
    """Call until the median of the last five calls is within 2 % of that of the five before.

    Attributes:
        at_least_s: the least seconds of calls.
        at_most_s: no further call starts after this time, settled or not.
    """

    at_least_s: float = 0.5
    at_most_s: float = 10.0

    def warm(
        self,
        call: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
        until: Callable[[], bool] = lambda: False,
    ) -> Warmup:
        """Call at least once. ``call`` returns its ms; ``until`` ends the warm-up early."""
        started = clock()
        times: list[float] = []
        while not until():
            times.append(call())
            spent = clock() - started
            if spent >= self.at_most_s or (spent >= self.at_least_s and settled(times)):
                break
        return Warmup(calls=len(times), settled=settled(times))


def default_warmup(device: torch.device) -> WarmupRule:
    """Return the rule for a GPU, or a rule of at most two seconds for each count on a CPU.

    On a CPU ten calls of each count would take longer than all timed calls. The aims of a warm-up
    (risen clocks, chosen kernels, allocated memory) are reached after the first call.
    """
    return WarmupRule() if device.type == "cuda" else WarmupRule(at_most_s=2.0)


T = TypeVar("T")
LEAST_ROUNDS = FEWEST
"""The fewest rounds of a complete count: fewer passes give no interval of the median."""
DEFAULT_ROUNDS = {"cuda": 200, "cpu": 7}
"""The rounds by kind of device, without a wish."""
DEFAULT_S = 300.0
"""The seconds for rounds beyond the least, without a wish for rounds or budget."""
WARM_UP_SHARE = 0.25
"""The part of a budget for the warm-up of all counts."""


class Timekeeper:
    """Keep a measurement within its wished length. The time begins with this object.

    Wished rounds without a budget have no limit of time.

    Args:
        rounds: the wished rounds; None takes those of :data:`DEFAULT_ROUNDS`.
        budget_s: no pass starts after this time, except the first timed pass of a warm count;
            None sets no limit.

    Attributes:
        most: the rounds of a full measurement.
        least: the rounds to make even beyond the limit of time.
    """

    def __init__(
        self,
        device: torch.device,
        rounds: int | None,
        budget_s: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = rounds or DEFAULT_ROUNDS[device.type]
        self.least = min(LEAST_ROUNDS, self.most)
        unasked = rounds is None and budget_s is None
        self._rounds_s = DEFAULT_S if unasked else budget_s
        self._budget_s = budget_s
        self._clock = clock
        self._started = clock()

    def spent_s(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock() - self._started

    def is_over(self) -> bool:
        """Return True if no further pass may start."""
        return self._budget_s is not None and self.spent_s() >= self._budget_s

    def allows_round(self, rounds: int, round_s: float) -> bool:
        """Return True if a round of ``round_s`` seconds may begin after ``rounds`` rounds."""
        within_s = self._rounds_s
        if rounds < self.least or within_s is None:
            return True
        return self.spent_s() + round_s <= within_s

    def warmup(self, rule: WarmupRule, left: int) -> WarmupRule:
        """Bound the rule for the next of ``left`` counts: an even part of the warm-up's time."""
        if self._budget_s is None:
            return rule
        part_s = max(0.0, WARM_UP_SHARE * self._budget_s - self.spent_s()) / left
        return replace(
            rule,
            at_least_s=min(rule.at_least_s, part_s),
            at_most_s=min(rule.at_most_s, part_s),
        )

    def share(self) -> float:
        """Return the spent part of the time, 0 without a limit."""
        within_s = self._rounds_s
        return 0.0 if not within_s else min(1.0, self.spent_s() / within_s)


def coarse_to_fine(items: Sequence[T]) -> list[T]:
    """Order items: the first, the last, then again and again the middles of the widest gaps.

    Every beginning of the order lies evenly over the whole.
    """
    if len(items) < 3:
        return list(items)
    order = [0, len(items) - 1]
    gaps = deque([(0, len(items) - 1)])
    while gaps:
        low, high = gaps.popleft()
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [items[index] for index in order]


class Run(Protocol):
    """Run a piece of work in the encoder's thread, and return its result."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def run_here(work: Callable[[], T], /) -> T:
    """Run work in the caller's thread, as the simplest :class:`Run`."""
    return work()


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
