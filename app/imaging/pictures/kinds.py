"""What can be drawn, and as what: names and limits, for whoever asks for a picture."""

from __future__ import annotations

from typing import Literal

from app.core.errors import InvalidConfig

Kind = Literal["crops", "comparison", "statistics", "coverage"]
PictureFormat = Literal["png", "svg"]

NEEDS_PICTURE: frozenset[Kind] = frozenset(("crops", "comparison", "coverage"))
"""Kinds that show the picture; for others it need not be decoded."""

DEFAULT_SIDE_PX = 1400
MIN_SIDE_PX = 200
MAX_SIDE_PX = 4096
"""Bounds on the longer side of what is drawn."""

MEDIA_TYPES: dict[PictureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}


def check_side(side_px: int) -> None:
    """Refuse a side out of bounds; for whoever decodes a file for it first.

    Raises:
        InvalidConfig: saying the bounds.
    """
    if not MIN_SIDE_PX <= side_px <= MAX_SIDE_PX:
        raise InvalidConfig(
            f"side_px must be between {MIN_SIDE_PX} and {MAX_SIDE_PX}, got {side_px}",
            parameter="side_px",
            limit=MIN_SIDE_PX if side_px < MIN_SIDE_PX else MAX_SIDE_PX,
            actual=side_px,
        )
