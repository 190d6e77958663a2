"""Vision-token latency as a function of what costs: crops that the ViT runs, and tokens kept.

A profile has one grid of each number of crops. Another grid of that number, or other overlap
margins, runs the same ViT and keeps other numbers of tokens, of which each costs the connector
about the same. So a latency is that of its number of crops, and the connector's time per token for
the difference in tokens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

from app.core.latency.latency import Distribution, VisionLatency
from app.core.latency.profile_entry import ProfileEntry
from app.core.statistics import fit_line

Neighbours = tuple[ProfileEntry, ProfileEntry]


class LatencyCurve:
    """The curve through measured entries.

    Args:
        entries: by rising ``total_crops``.
    """

    def __init__(self, entries: Sequence[ProfileEntry]) -> None:
        self._entries = tuple(entries)
        self._counts = [entry.total_crops for entry in entries]
        self._samples = {e.total_crops: tuple(sorted(e.samples_ms.vision)) for e in entries}
        self.token_ms = connector_token_ms(entries)

    def neighbours(self, total_crops: int) -> Neighbours | None:
        """The entries next below and above, the same one twice where that count was measured.

        None outside the measured range.
        """
        place = bisect_left(self._counts, total_crops)
        if place == len(self._counts):
            return None
        upper = self._entries[place]
        if upper.total_crops == total_crops:
            return upper, upper
        return (self._entries[place - 1], upper) if place else None

    def between(self, neighbours: Neighbours, total_crops: int, patch_tokens: int) -> VisionLatency:
        """The latency of so many crops and tokens, on the line between two entries of this curve.

        Every percentile of the whole is on the line between the same percentiles of the two.
        """
        lower, upper = neighbours
        span = upper.total_crops - lower.total_crops
        part = (total_crops - lower.total_crops) / span if span else 0.0
        connector_ms = _on_line(lower.connector_ms.p50, upper.connector_ms.p50, part)
        tokens = _on_line(lower.patch_tokens, upper.patch_tokens, part)
        # However few the tokens, no stage takes less than 0.
        shift_ms = max(self.token_ms * (patch_tokens - tokens), -connector_ms)
        return VisionLatency(
            Distribution(
                self._samples[lower.total_crops], self._samples[upper.total_crops], part, shift_ms
            ),
            vit_ms=_on_line(lower.vit_ms.p50, upper.vit_ms.p50, part),
            connector_ms=connector_ms + shift_ms,
        )


def connector_token_ms(entries: Sequence[ProfileEntry]) -> float:
    """The connector's ms for each further token, at least 0: the slope of its medians over tokens.

    Where all entries keep as many tokens as each other there is no slope, and it is its time over
    those tokens; 0 without entries.
    """
    tokens = [entry.patch_tokens for entry in entries]
    medians = [entry.connector_ms.p50 for entry in entries]
    if len(set(tokens)) > 1:
        return max(0.0, fit_line(tokens, medians).slope)
    return median(medians) / tokens[0] if entries else 0.0


def _on_line(lower: float, upper: float, part: float) -> float:
    return lower + (upper - lower) * part
