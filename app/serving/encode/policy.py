"""Which waiting items form the next pass over the device. Pure: values in, a value out.

The laws, each with its test:

- Work-conserving: while a live item waits, the batch is not empty. An idle device never waits for
  company, so a client alone has the latency of one.
- The oldest live item is always in the batch, whatever its size or deadline. So an item that came
  k-th runs in one of the next k passes: nothing starves.
- It takes along what fits, earliest deadline first and by age where deadlines are equal, until
  nothing that waits fits any more.
- An item larger than the limit runs alone, when it is the oldest.
- Beside a pass under way the next one is launched only once half the limit waits: a small pass
  would gain little by coming early, and lose its company.
- What is expired or cancelled is dropped before it costs anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from app.core.latency.profile import Profile

DEFAULT_BATCH_CROPS = 13
"""Without a complete profile: one image of 12 crops with its global crop."""

NEAR_BEST = 0.95
"""A limit is large enough when its rate is this share of the best: more only adds waiting."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item in the queue. Times are ``time.monotonic()``; ``crops`` are total crops."""

    crops: int
    arrived_s: float
    deadline_s: float | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Indices into the waiting items; each is in exactly one of the four.

    ``batch`` is by age; the others are in the order given.
    """

    batch: tuple[int, ...]
    stay: tuple[int, ...]
    expired: tuple[int, ...]
    cancelled: tuple[int, ...]


def choose_batch(waiting: Sequence[Waiting], now_s: float, limit_crops: int) -> Choice:
    """Choose what runs next.

    Args:
        waiting: in any order; of equal arrival times the first given counts as older.
        now_s: an item whose deadline is not after this is expired.
        limit_crops: most crops of a pass over several items.
    """
    places = range(len(waiting))
    cancelled = tuple(i for i in places if waiting[i].cancelled)
    late = {i for i in places if _deadline(waiting[i]) <= now_s}.difference(cancelled)
    live = [i for i in places if i not in late and not waiting[i].cancelled]
    by_age = sorted(live, key=lambda i: waiting[i].arrived_s)
    chosen = _fill(waiting, by_age, limit_crops)
    return Choice(
        batch=tuple(i for i in by_age if i in chosen),
        stay=tuple(i for i in live if i not in chosen),
        expired=tuple(sorted(late)),
        cancelled=cancelled,
    )


def _fill(waiting: Sequence[Waiting], by_age: Sequence[int], limit_crops: int) -> set[int]:
    """The oldest, and then whatever fits beside it, the most urgent first."""
    if not by_age:
        return set()
    oldest, *others = by_age
    chosen, room = {oldest}, limit_crops - waiting[oldest].crops
    for i in sorted(others, key=lambda i: _deadline(waiting[i])):  # stable: ties stay by age
        if waiting[i].crops <= room:
            chosen.add(i)
            room -= waiting[i].crops
    return chosen


def _deadline(item: Waiting) -> float:
    return inf if item.deadline_s is None else item.deadline_s


def may_overlap(crops: int, limit_crops: int) -> bool:
    """Tell whether what waits is enough to be launched while the device is still busy."""
    return 2 * crops >= limit_crops


def batch_limit(profile: Profile | None) -> int:
    """The most crops of a pass: the smallest count whose crops/s (p50) are within 5 % of the best.

    A profile that is not complete would call the smallest counts best, so without a complete one
    it is ``DEFAULT_BATCH_CROPS``.
    """
    if profile is None or not profile.complete or not profile.entries:
        return DEFAULT_BATCH_CROPS
    return near_best({entry.total_crops: entry.vision_ms.p50 for entry in profile.entries})


def near_best(pass_times: Mapping[int, float]) -> int:
    """Of counts with the time of their pass, the smallest that is nearly as fast a crop as any."""
    rates = {crops: crops / time for crops, time in pass_times.items()}
    best = max(rates.values())
    return min(crops for crops, rate in rates.items() if rate >= NEAR_BEST * best)
