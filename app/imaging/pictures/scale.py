"""Colours for coverage: a class for each count, or ranges of them, darker to lighter.

matplotlib's viridis: even in lightness, and as good for the colour-blind and in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from matplotlib import colormaps
from matplotlib.colors import to_hex

_MOST_CLASSES = 6
_USUAL_MOST = 4
"""What four crops at a corner make: so 1, 2 and 4 have the same colours in every usual picture."""


@dataclass(frozen=True, slots=True)
class CoverageClass:
    """Counts from ``first`` to ``last``, both included, and their colour."""

    first: int
    last: int
    colour: str

    @property
    def label(self) -> str:
        """The counts in words."""
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


def coverage_classes(counts: Sequence[int]) -> tuple[CoverageClass, ...]:
    """Classes for these counts, rising: one each, or doubling ranges where there are too many."""
    present = sorted(set(counts))
    most = max(_USUAL_MOST, present[-1])
    ranges = [(count, count) for count in present]
    if len(present) > _MOST_CLASSES:
        doubling = [(2**n // 2 + 1, 2**n) for n in range(most.bit_length() + 1)]
        held = [[count for count in present if low <= count <= high] for low, high in doubling]
        ranges = [(inside[0], inside[-1]) for inside in held if inside]
    viridis = colormaps["viridis"]
    return tuple(
        CoverageClass(first, last, to_hex(viridis(log2(last) / log2(most))))
        for first, last in ranges
    )
