"""Compute in IEEE 754 single precision with the standard library.

The reference computes scales in float32; float64 would give another size for about 1 image in 8.
One ``+ - * /`` of float32 operands in float64, rounded once, is exactly the float32 result: 53 bits
are at least 2·24 + 2 (Figueroa, "When is double rounding innocuous?", 1995).
"""

import struct
from collections.abc import Sequence
from functools import cache


def round_to_float32(value: float) -> float:
    """Return the nearest float32, ties to even, as a Python float."""
    return round_all_to_float32((value,))[0]


def round_all_to_float32(values: Sequence[float]) -> tuple[float, ...]:
    """Round every value of a sequence; one call costs a tenth of many."""
    packer = _packer(len(values))
    return packer.unpack(packer.pack(*values))


@cache
def _packer(count: int) -> struct.Struct:
    return struct.Struct(f"{count}f")
