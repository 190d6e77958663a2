"""The choice between the forms of an answer by the ``Accept`` of a request (RFC 9110, 12.5.1)."""

from __future__ import annotations

import mimeparse
from fastapi import Request

MediaRange = tuple[str, str, dict[str, str]]
"""The type, the subtype and the parameters of a range, ``q`` included."""

_NAMED = 100
"""The fitness of a range with the same type, by mimeparse; ``*/*`` has less."""


def preferred(request: Request, *offers: str) -> str:
    """Return the media type that the client wants most.

    Each offer has the quality of the most specific range for it. Of equal qualities a type that
    the client names, or its ``type/*``, wins against ``*/*``. Then the earlier offer wins.
    """
    accept = ",".join(request.headers.getlist("accept")).lower()
    ranges = [found for text in accept.split(",") if (found := _media_range(text))]
    if not ranges:
        return offers[0]

    def rank(offer: str) -> tuple[float, bool]:
        quality, fitness = mimeparse.quality_and_fitness_parsed(offer, ranges)
        return quality, quality > 0 and fitness >= _NAMED

    return max(offers, key=rank)


def _media_range(text: str) -> MediaRange | None:
    """Read one range; return None for a text without the form of one, as the empty text."""
    try:
        found: MediaRange = mimeparse.parse_media_range(text)
    except mimeparse.MimeTypeParseException:
        return None
    return found
