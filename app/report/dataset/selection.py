"""Which images of a set are looked at closely: few, over all the numbers of crops there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Selection(Generic[Item]):
    """What was selected, fewest crops first.

    ``closest_crops`` is the number of grid crops nearest to ``target_crops`` that any usable item
    has; where it is another one, the target is not in the set. None: nothing is usable.
    """

    items: tuple[Item, ...]
    target_crops: int
    closest_crops: int | None


def select(
    by_crops: Mapping[int, Sequence[Item]],
    number: int,
    target_crops: int,
    usable: Callable[[Item], bool] = lambda _: True,
) -> Selection[Item]:
    """Select items evenly over the range of crops, the count nearest the target among them.

    Where there are more counts than items, one item each of the counts that :func:`spread` names;
    else counts are taken in turn, fewest crops first, until there are enough. Of one count the
    first usable items are taken, so that the same input selects the same.

    Args:
        by_crops: items by their number of grid crops, each in order.
        number: how many are wanted, at least 1.
        target_crops: grid crops.
        usable: asked of an item before it is taken. Of each count one more than is taken may be
            asked about.
    """
    queues = {crops: deque(items) for crops, items in sorted(by_crops.items())}
    asked: dict[int, bool] = {}  # by identity: the head of a queue is looked at more than once

    def has_more(crops: int) -> bool:
        queue = queues[crops]
        while queue:
            head = queue[0]
            if id(head) not in asked:
                asked[id(head)] = usable(head)
            if asked[id(head)]:
                return True
            queue.popleft()
        return False

    counts = [crops for crops in queues if has_more(crops)]
    if not counts:
        return Selection((), target_crops, None)
    closest = nearest(target_crops, counts)
    taken: list[tuple[int, Item]] = []
    turn = spread(counts, number, closest)
    while turn and len(taken) < number:
        taken += [(crops, queues[crops].popleft()) for crops in turn[: number - len(taken)]]
        turn = [crops for crops in counts if has_more(crops)]
    taken.sort(key=lambda one: one[0])
    return Selection(tuple(item for _, item in taken), target_crops, closest)


def spread(counts: Sequence[int], number: int, always: int) -> list[int]:
    """At most ``number`` of the counts, evenly over their range, ``always`` among them.

    The nearest that is left to each of ``number`` even steps from the first to the last; where
    ``always`` is not among them, it takes the place of the one nearest to it.

    Args:
        counts: rising, not empty.
        number: at least 1.
        always: one of the counts.
    """
    if number >= len(counts):
        return list(counts)
    if number == 1:
        return [always]
    first, last = counts[0], counts[-1]
    left, chosen = list(counts), []
    for step in range(number):
        chosen.append(nearest(first + (last - first) * step / (number - 1), left))
        left.remove(chosen[-1])
    if always not in chosen:
        chosen[chosen.index(nearest(always, chosen))] = always
    return sorted(chosen)


def nearest(wanted: float, counts: Sequence[int]) -> int:
    """The count nearest to what is wanted; of two the smaller."""
    return min(counts, key=lambda crops: (abs(crops - wanted), crops))
