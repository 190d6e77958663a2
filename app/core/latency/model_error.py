"""How far a profile's predictions are from its own measurements that they were not made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from app.core.latency.latency_curve import LatencyCurve
from app.core.latency.profile_entry import ProfileEntry
from app.core.statistics import FEWEST, quantile

ErrorMethod = Literal["leave-one-count-out", "half-against-half"]


@dataclass(frozen=True, slots=True)
class ErrorSpread:
    """Relative errors over the counts, without their signs: 0.05 is 5 % too much or too little."""

    median: float
    max: float


@dataclass(frozen=True, slots=True)
class ModelError:
    """Errors of predicted percentiles.

    Attributes:
        method: ``leave-one-count-out``: each count between the smallest and the largest was
            predicted from all others. ``half-against-half``: every other pass of a count predicted
            the rest of its passes, which is all that can be left out where nothing is interpolated.
        p50, p95: of these percentiles.
        counts: how many were predicted.
    """

    method: ErrorMethod
    p50: ErrorSpread
    p95: ErrorSpread
    counts: int


def count_error(entries: Sequence[ProfileEntry]) -> ModelError | None:
    """Leave one count out; None below three counts, as none then lies between others."""
    errors = []
    for place, left_out in enumerate(entries[1:-1], 1):
        others = LatencyCurve([*entries[:place], *entries[place + 1 :]])
        around = (entries[place - 1], entries[place + 1])
        tokens = left_out.patch_tokens
        found = others.between(around, left_out.total_crops, tokens).vision_ms
        measured = left_out.vision_ms
        errors.append((found.p50 / measured.p50 - 1, found.p95 / measured.p95 - 1))
    return _error("leave-one-count-out", errors)


def repetition_error(entries: Sequence[ProfileEntry]) -> ModelError | None:
    """Half against half of each count's passes; None where no count has six or more of them.

    Every other pass, so that both halves saw the same times of the machine: what it does later is
    not in this error, but in the drift.
    """
    errors = []
    for entry in entries:
        passes = entry.samples_ms.vision
        if len(passes) >= FEWEST:
            one, other = sorted(passes[::2]), sorted(passes[1::2])
            p50, p95 = (quantile(one, share) / quantile(other, share) - 1 for share in (0.5, 0.95))
            errors.append((p50, p95))
    return _error("half-against-half", errors)


def _error(method: ErrorMethod, errors: Sequence[tuple[float, float]]) -> ModelError | None:
    if not errors:
        return None
    p50, p95 = zip(*errors, strict=True)
    return ModelError(method, _spread(p50), _spread(p95), len(errors))


def _spread(errors: Iterable[float]) -> ErrorSpread:
    sizes = [abs(error) for error in errors]
    return ErrorSpread(median(sizes), max(sizes))
