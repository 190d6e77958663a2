"""What can be drawn, and as what: names and limits, for whoever asks for a picture."""

from __future__ import annotations

from typing import Literal

Kind = Literal["crops", "comparison", "statistics", "coverage"]
PictureFormat = Literal["png", "svg"]

DEFAULT_SIDE_PX = 1400
MIN_SIDE_PX = 200
MAX_SIDE_PX = 4096
"""Bounds on the longer side of what is drawn."""

MEDIA_TYPES: dict[PictureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}
