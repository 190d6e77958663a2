"""Choose the waiting items of the next pass, by pure functions.

The policy keeps these laws, each by test:

- Work-conserving: the batch has an item as long as a live item waits. An idle device never waits
  for company, and a client alone has the latency of one.
- Fair: the oldest live item is always in the batch, at any size and deadline. The k-th item to
  arrive runs in one of the next k passes, and nothing starves.
- Full: further items join the oldest by earliest deadline, then by age, until no waiting item fits.
- Alone: an item larger than the limit runs by itself, in its turn as the oldest.
- Overlap: a pass starts beside another only with half the limit waiting. A smaller pass would gain
  little from an early start and would lose its company.
- Expired and cancelled items are dropped before any cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from app.core.latency.profile import Profile

DEFAULT_BATCH_CROPS = 13
"""A pass has this limit without a complete profile: one image of 12 crops and a global crop."""

NEAR_BEST = 0.95
"""A limit is large enough at this share of the best rate: more crops only add waiting."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Describe an item in the queue. Times are ``time.monotonic()``; ``crops`` are total crops."""

    crops: int
    arrived_s: float
    deadline_s: float | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Divide the indices of the waiting items into four parts.

    ``batch`` is sorted by age. The other parts have the order of the items.
    """

    batch: tuple[int, ...]
    stay: tuple[int, ...]
    expired: tuple[int, ...]
    cancelled: tuple[int, ...]


def choose_batch(waiting: Sequence[Waiting], now_s: float, limit_crops: int) -> Choice:
    """Choose the items of the next pass.

    Args:
        waiting: items in any order; the first of equal arrival times counts as older.
        now_s: the present; an item with a deadline at or before it is expired.
        limit_crops: the most crops of a pass over several items.
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
    """Take the oldest item, then all items that fit beside it, the most urgent first."""
    if not by_age:
        return set()
    oldest, *others = by_age
    chosen, room = {oldest}, limit_crops - waiting[oldest].crops
    for i in sorted(others, key=lambda i: _deadline(waiting[i])):  # a stable sort: ties stay by age
        if waiting[i].crops <= room:
            chosen.add(i)
            room -= waiting[i].crops
    return chosen


def _deadline(item: Waiting) -> float:
    return inf if item.deadline_s is None else item.deadline_s


def may_overlap(crops: int, limit_crops: int) -> bool:
    """Return True if enough crops wait for a launch on a busy device."""
    return 2 * crops >= limit_crops


def batch_limit(profile: Profile | None) -> int:
    """Limit the crops of a pass to the smallest count within 5 % of the best crops/s (p50).

    Without a complete profile the limit is ``DEFAULT_BATCH_CROPS``: an incomplete profile would
    call its small counts best.
    """
    if profile is None or not profile.complete or not profile.entries:
        return DEFAULT_BATCH_CROPS
    return near_best({entry.total_crops: entry.vision_ms.p50 for entry in profile.entries})


def near_best(pass_times: Mapping[int, float]) -> int:
    """Find the smallest count with nearly the best rate, from the pass times by count."""
    rates = {crops: crops / time for crops, time in pass_times.items()}
    best = max(rates.values())
    return min(crops for crops, rate in rates.items() if rate >= NEAR_BEST * best)
