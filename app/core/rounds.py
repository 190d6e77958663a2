"""Visiting what is compared in shuffled rounds, so that a machine's drift is nobody's trend."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

K = TypeVar("K")


def shuffled_rounds(keys: Sequence[K], rounds: int, seed: int = 0) -> Iterator[tuple[int, K]]:
    """Every key once a round, in an order of its own each round; with the number of the round."""
    shuffle = random.Random(seed)
    for number in range(rounds):
        order = list(keys)
        shuffle.shuffle(order)
        for key in order:
            yield number, key
