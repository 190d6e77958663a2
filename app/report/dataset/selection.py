"""Select few images of a set, spread evenly over the numbers of crops."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def group_by(items: Iterable[Item], number: Callable[[Item], int]) -> dict[int, list[Item]]:
    """Group items by a number of each; the groups and their items keep the order."""
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(number(item), []).append(item)
    return groups


def select(
    by_crops: Mapping[int, Sequence[Item]],
    number: int,
    target_crops: int,
    usable: Callable[[Item], bool] = lambda _: True,
) -> tuple[tuple[Item, ...], int | None]:
    """Select items evenly over the range of crops, with one of the count nearest to the target.

    With more counts than items, one item of each count in :func:`spread` is taken. Otherwise the
    counts take turns, fewest crops first. Of one count the first usable items are taken, so the
    same input selects the same items.

    Args:
        by_crops: items by their number of grid crops, each list in order.
        number: of items wanted, at least 1.
        target_crops: grid crops.
        usable: called before an item is taken, for at most one more of each count than is taken.

    Returns:
        The selected items, fewest crops first; and the number of grid crops nearest to the target
        among the usable items, None without a usable item.
    """
    queues = {crops: deque(items) for crops, items in sorted(by_crops.items())}
    asked: dict[int, bool] = {}  # by identity: a queue's head is asked about repeatedly

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
        return (), None
    closest = nearest(target_crops, counts)
    taken: list[tuple[int, Item]] = []
    turn = spread(counts, number, closest)
    while turn and len(taken) < number:
        taken += [(crops, queues[crops].popleft()) for crops in turn[: number - len(taken)]]
        turn = [crops for crops in counts if has_more(crops)]
    taken.sort(key=lambda one: one[0])
    return tuple(item for _, item in taken), closest


def spread(counts: Sequence[int], number: int, always: int) -> list[int]:
    """Return at most ``number`` of the counts, spread evenly over their range.

    Each even step from the first count to the last takes the nearest remaining count. ``always``
    replaces its nearest neighbour if no step took it.

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
    """Return the count nearest to ``wanted``; of two, the smaller."""
    return min(counts, key=lambda crops: (abs(crops - wanted), crops))
