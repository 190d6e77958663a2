"""The length of a measurement: warm-up by rule, and the rounds that fit a budget."""

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
    """Call until the median of the last five is within 2 % of that of the five before.

    Attributes:
        at_least_s: seconds that are spent in any case.
        at_most_s: seconds after which no further call starts, settled or not.
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
        """Call at least once; ``call`` returns its time in ms. ``until`` ends it early."""
        started = clock()
        times: list[float] = []
        while not until():
            times.append(call())
            spent = clock() - started
            if spent >= self.at_most_s or (spent >= self.at_least_s and settled(times)):
                break
        return Warmup(calls=len(times), settled=settled(times))


def default_warmup(device: torch.device) -> WarmupRule:
    """The rule where a call takes milliseconds; on a CPU, at most two seconds for each count.

    There, ten calls of each count would take longer than all timed ones, and what a warm-up is for
    (clocks to rise, kernels to be chosen, memory to be had) has happened after the first.
    """
    return WarmupRule() if device.type == "cuda" else WarmupRule(at_most_s=2.0)


T = TypeVar("T")
LEAST_ROUNDS = FEWEST
"""Fewest rounds that make a count complete: from so many passes on its median has an interval."""
DEFAULT_S = 300.0
"""Seconds after which no round beyond the least begins, where neither rounds nor budget are set."""
WARM_UP_SHARE = 0.25
"""The part of a budget that warming up may take, over all counts."""


def default_rounds(device: torch.device) -> int:
    """The most passes per count that are made unasked: 7 on a CPU, 200 on a GPU."""
    return 200 if device.type == "cuda" else 7


@dataclass(frozen=True, slots=True)
class Pace:
    """The wishes for a measurement's length.

    Attributes:
        most: rounds after which every count is measured in full.
        least: rounds that are made even if they take longer than ``rounds_s``.
        rounds_s: seconds within which a further round must fit; None: any does.
        budget_s: seconds after which no pass starts, but for the first timed one of a count that
            is warm by then; None: no limit.
    """

    most: int
    least: int
    rounds_s: float | None
    budget_s: float | None

    @classmethod
    def of(cls, device: torch.device, rounds: int | None, budget_s: float | None) -> Pace:
        """The pace of these wishes: what is asked for in so many words is done, however long."""
        most = rounds or default_rounds(device)
        unasked = rounds is None and budget_s is None
        return cls(
            most=most,
            least=min(LEAST_ROUNDS, most),
            rounds_s=DEFAULT_S if unasked else budget_s,
            budget_s=budget_s,
        )


class Timekeeper:
    """Holds a measurement to its pace; its time begins when this is made."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = pace
        self._clock = clock
        self._started = clock()

    def spent_s(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._started

    def is_over(self) -> bool:
        """Tell whether no further pass may start."""
        return self.pace.budget_s is not None and self.spent_s() >= self.pace.budget_s

    def allows_round(self, rounds: int, round_s: float) -> bool:
        """Tell whether another round may begin after so many, if it takes ``round_s``."""
        within_s = self.pace.rounds_s
        if rounds < self.pace.least or within_s is None:
            return True
        return self.spent_s() + round_s <= within_s

    def warmup(self, rule: WarmupRule, left: int) -> WarmupRule:
        """The rule for the next of ``left`` counts: an even part of what the warm-up has left."""
        if self.pace.budget_s is None:
            return rule
        part_s = max(0.0, WARM_UP_SHARE * self.pace.budget_s - self.spent_s()) / left
        return replace(
            rule,
            at_least_s=min(rule.at_least_s, part_s),
            at_most_s=min(rule.at_most_s, part_s),
        )

    def share(self) -> float:
        """The part of the time that is over, 0 where there is no limit."""
        within_s = self.pace.rounds_s
        return 0.0 if not within_s else min(1.0, self.spent_s() / within_s)


def coarse_to_fine(items: Sequence[T]) -> list[T]:
    """The first and the last item, then again and again what halves the widest gaps between them.

    Wherever it is cut off, what is done lies evenly over the whole.
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
