"""Define sizes, grids and boxes, so that height and width are never in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from app.core.errors import InvalidSize

MAX_SIDE_PX = 1_000_000
"""The largest side that is planned. float32 has all integers up to 2**24, so tilings are exact."""
_ROUNDING_PX = 1e-6
"""Rounding may leave at most this many px between equal edges."""


@dataclass(frozen=True, slots=True)
class Size:
    """Hold an image size in px.

    Raises:
        InvalidSize: a side below 1 or above ``MAX_SIDE_PX``.
    """

    width: int
    height: int

    def __post_init__(self) -> None:
        if 1 <= self.width <= MAX_SIDE_PX and 1 <= self.height <= MAX_SIDE_PX:
            return  # at once, as planning a set makes hundreds of thousands of sizes
        for name, side in (("width", self.width), ("height", self.height)):
            if not 1 <= side <= MAX_SIDE_PX:
                raise InvalidSize(
                    f"{name} must be between 1 and {MAX_SIDE_PX} px, got {side}",
                    parameter=name,
                    limit=MAX_SIDE_PX,
                    actual=side,
                )

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Grid(NamedTuple):
    """Hold a tiling: ``rows`` × ``cols`` grid crops, written as in ``2x3``."""

    rows: int
    cols: int

    @property
    def crops(self) -> int:
        return self.rows * self.cols

    @property
    def total_crops(self) -> int:
        """Count the grid crops and the global crop: the encoder runs both."""
        return self.rows * self.cols + 1

    def __str__(self) -> str:
        return f"{self.rows}x{self.cols}"


class Box(NamedTuple):
    """Hold a half-open rectangle ``[x0, x1) × [y0, y1)`` in px; x rises to the right, y down."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def of(cls, size: Size) -> Box:
        """Return the whole of a size."""
        return cls(0, 0, size.width, size.height)

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return max(0.0, self.width) * max(0.0, self.height)

    def intersect(self, other: Box) -> Box | None:
        """Return the common part, or None if there is none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        x1, y1 = min(self.x1, other.x1), min(self.y1, other.y1)
        return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def around(self, inner: Box) -> list[Box]:
        """Return this box without a box inside of it, as boxes that do not overlap."""
        boxes = (
            Box(self.x0, self.y0, self.x1, inner.y0),
            Box(self.x0, inner.y1, self.x1, self.y1),
            Box(self.x0, inner.y0, inner.x0, inner.y1),
            Box(inner.x1, inner.y0, self.x1, inner.y1),
        )
        return [box for box in boxes if box.width > _ROUNDING_PX and box.height > _ROUNDING_PX]

    def as_tuple(self) -> tuple[float, float, float, float]:
        return (self.x0, self.y0, self.x1, self.y1)
