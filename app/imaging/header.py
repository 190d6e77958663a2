"""What is known of a file before its pixels are needed."""

from __future__ import annotations

from app.imaging.decode import ImageFacts, decode


def look(data: bytes, *, max_pixels: int) -> ImageFacts:
    """The facts of a file. Raises as :func:`app.imaging.decode.decode` does."""
    return decode(data, max_pixels=max_pixels).facts
