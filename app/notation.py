"""Read grids, margins, aspects and modes, for HTTP and the command line alike."""

import re
from fractions import Fraction
from typing import get_args

from app.core.control.budget import ResizingMode
from app.core.errors import InvalidConfig
from app.core.plan.geometry import Grid, Size

GRID = r"^[1-9]\d{0,3}x[1-9]\d{0,3}$"
MARGINS = r"^\d{1,4},\d{1,4}$"
ASPECT = r"^\d{1,6}(\.\d{1,6})?(:\d{1,6}(\.\d{1,6})?)?$"


def parse_grid(text: str) -> Grid:
    """Read ``2x3`` as 2 rows and 3 columns. Raises InvalidConfig."""
    _check(GRID, text, "tiling", "a tiling is ROWSxCOLUMNS, each at least 1, for example 2x3")
    rows, cols = text.split("x")
    return Grid(int(rows), int(cols))


def parse_margins(text: str) -> tuple[int, int]:
    """Read ``4,4`` as patches at (left and top, right and bottom). Raises InvalidConfig."""
    _check(MARGINS, text, "overlap_margins", "margins are two counts of patches, for example 4,4")
    left, right = text.split(",")
    return int(left), int(right)


def parse_aspect(text: str) -> Size:
    """Read ``4:3`` or ``1.5`` as a size in lowest terms. Raises InvalidConfig."""
    wanted = "an aspect is WIDTH:HEIGHT or their ratio, not 0, for example 4:3 or 1.5"
    _check(ASPECT, text, "aspect", wanted)
    width, _, height = text.partition(":")
    parts = Fraction(width), Fraction(height or 1)
    if not all(parts):
        raise InvalidConfig(wanted, parameter="aspect", actual=text)
    ratio = parts[0] / parts[1]
    return Size(ratio.numerator, ratio.denominator)


def parse_modes(text: str) -> tuple[ResizingMode, ...]:
    """Read ``fit,pad`` as allowed ways to resize, each at most once. Raises InvalidConfig."""
    known: dict[str, ResizingMode] = {mode: mode for mode in get_args(ResizingMode)}
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names) or not known.keys() >= set(names):
        wanted = f"modes is a list of {', '.join(known)}, each at most once; got {text!r}"
        raise InvalidConfig(wanted, parameter="modes", actual=text)
    return tuple(known[name] for name in names)


def _check(pattern: str, text: str, parameter: str, wanted: str) -> None:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise InvalidConfig(wanted, parameter=parameter, actual=text)
