"""Choosing some images of many, the same ones every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(ordered: Sequence[T], count: int) -> list[T]:
    """``count`` of them at even distances, the first and the last among them; of one, the middle.

    Raises:
        ValueError: not from 1 to as many as there are.
    """
    if not 1 <= count <= len(ordered):
        raise ValueError(f"cannot take {count} of {len(ordered)}")
    if count == 1:
        return [ordered[len(ordered) // 2]]
    return [ordered[place * (len(ordered) - 1) // (count - 1)] for place in range(count)]


def evenly(
    items: Sequence[T],
    count: int,
    *,
    crops_of: Callable[[T], int],
    pixels_of: Callable[[T], int],
) -> list[T]:
    """Up to ``count`` of the items, as many of each number of crops as can be, in their order.

    Data sets have most images at one number of crops; a share of each would miss the rare ones.
    Among those of one number they are spread over the numbers of pixels. Where there are more
    numbers of crops than are to be chosen, so are the numbers.
    """
    if count >= len(items):
        return list(items)
    groups: dict[int, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        groups[crops_of(item)].append(place)
    numbers = spread(sorted(groups), min(count, len(groups)))
    chosen = [
        place
        for number, share in _shares({n: len(groups[n]) for n in numbers}, count).items()
        for place in spread(
            sorted(groups[number], key=lambda place: (pixels_of(items[place]), place)), share
        )
    ]
    return [items[place] for place in sorted(chosen)]


def _shares(available: dict[int, int], count: int) -> dict[int, int]:
    """``count`` dealt out one by one in turn to whoever has some left."""
    shares = dict.fromkeys(available, 0)
    left = min(count, sum(available.values()))
    while left:
        for number in sorted(n for n in available if shares[n] < available[n])[:left]:
            shares[number] += 1
            left -= 1
    return shares
