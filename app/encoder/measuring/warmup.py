"""Warming up by rule: until the times have settled, not a number of calls that once was enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from app.core.latency.timings import Warmup
from app.core.statistics import settled


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
