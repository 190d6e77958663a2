"""Decide the length of a measurement: its warm-up by rule, and its rounds within a budget."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from app.core.latency.timings import Warmup
from app.core.statistics import FEWEST, settled


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
DEFAULT_S = 300.0
"""The seconds for rounds beyond the least, without a wish for rounds or budget."""
WARM_UP_SHARE = 0.25
"""The part of a budget for the warm-up of all counts."""


def default_rounds(device: torch.device) -> int:
    """Return the default number of rounds: 7 on a CPU, 200 on a GPU."""
    return 200 if device.type == "cuda" else 7


@dataclass(frozen=True, slots=True)
class Pace:
    """Hold the wishes for a measurement's length.

    Attributes:
        most: the rounds of a full measurement.
        least: the rounds to make even beyond ``rounds_s``.
        rounds_s: the seconds for rounds beyond the least; None sets no limit.
        budget_s: no pass starts after this time, except the first timed pass of a warm count;
            None sets no limit.
    """

    most: int
    least: int
    rounds_s: float | None
    budget_s: float | None

    @classmethod
    def of(cls, device: torch.device, rounds: int | None, budget_s: float | None) -> Pace:
        """Make the pace of these wishes. Wished rounds without a budget have no limit of time."""
        most = rounds or default_rounds(device)
        unasked = rounds is None and budget_s is None
        return cls(
            most=most,
            least=min(LEAST_ROUNDS, most),
            rounds_s=DEFAULT_S if unasked else budget_s,
            budget_s=budget_s,
        )


class Timekeeper:
    """Keep a measurement to its pace. The time begins with this object."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = pace
        self._clock = clock
        self._started = clock()

    def spent_s(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock() - self._started

    def is_over(self) -> bool:
        """Return True if no further pass may start."""
        return self.pace.budget_s is not None and self.spent_s() >= self.pace.budget_s

    def allows_round(self, rounds: int, round_s: float) -> bool:
        """Return True if a round of ``round_s`` seconds may begin after ``rounds`` rounds."""
        within_s = self.pace.rounds_s
        if rounds < self.pace.least or within_s is None:
            return True
        return self.spent_s() + round_s <= within_s

    def warmup(self, rule: WarmupRule, left: int) -> WarmupRule:
        """Bound the rule for the next of ``left`` counts: an even part of the warm-up's time."""
        if self.pace.budget_s is None:
            return rule
        part_s = max(0.0, WARM_UP_SHARE * self.pace.budget_s - self.spent_s()) / left
        return replace(
            rule,
            at_least_s=min(rule.at_least_s, part_s),
            at_most_s=min(rule.at_most_s, part_s),
        )

    def share(self) -> float:
        """Return the spent part of the time, 0 without a limit."""
        within_s = self.pace.rounds_s
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
