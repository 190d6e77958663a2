"""Visiting what is compared in shuffled rounds, so that a machine's drift is nobody's trend."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

K = TypeVar("K")


def shuffled_rounds(keys: Sequence[K], rounds: int, seed: int = 0) -> Iterator[list[K]]:
    """Round by round every key once, in an order of that round's own."""
    shuffle = random.Random(seed)
    for _ in range(rounds):
        order = list(keys)
        shuffle.shuffle(order)
        yield order
