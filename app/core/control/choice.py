"""Choose a candidate: the best quality within the budget, or an error with the nearest one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core.control.budget import Budget, Candidate, cost
from app.core.control.retained import ImageQuality
from app.core.errors import BudgetUnreachable

SSIM_DIGITS = 3
"""Digits of a compared and shown quality; nobody sees a smaller difference."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold a candidate, its quality, and its place among all candidates.

    ``quality`` is None if it was not measured. A candidate is on the ``pareto`` front unless
    another equals it in latency, tokens and quality and is better in one of them.
    """

    candidate: Candidate
    quality: ImageQuality | None
    within_budget: bool
    pareto: bool = False
    chosen: bool = False

    @property
    def ssim(self) -> float:
        """Return the SSIM to show and to compare; below all others if it was not measured."""
        return -1.0 if self.quality is None else round(self.quality.ssim, SSIM_DIGITS)

    @property
    def is_made(self) -> bool:
        """Return True if a new image is made."""
        return self.candidate.mode not in ("unchanged", "max_crops")

    def passes(self, quality_threshold: float | None) -> bool:
        """Return True if the quality reaches the threshold; an untouched image always passes."""
        if quality_threshold is None or not self.is_made:
            return True
        return self.quality is not None and self.quality.ssim >= quality_threshold


def choose(
    judged: Sequence[Judged], budget: Budget, *, quality_threshold: float | None = None
) -> tuple[Judged, ...]:
    """Mark the candidate to take and the Pareto front, and return all candidates.

    The best quality within the budget is taken; of equals the least change, then the least cost.
    No image below the threshold is made; lowering ``max_crops`` stays allowed.

    Raises:
        BudgetUnreachable: nothing is left; the error names the nearest.
    """
    within = [one for one in judged if one.within_budget]
    if not within:
        raise _too_dear([one.candidate for one in judged], budget)
    good = [one for one in within if one.passes(quality_threshold)]
    if not good:
        raise _too_poor(max(within, key=_rank), budget, quality_threshold)
    best = max(good, key=_rank)
    return tuple(
        replace(one, chosen=one is best, pareto=not any(_beats(two, one) for two in judged))
        for one in judged
    )


def _rank(one: Judged) -> tuple[float, ...]:
    """Prefer the best quality; of equals the least change, then the least cost."""
    return one.ssim, -one.candidate.change, *(-part for part in cost(one.candidate))


def _beats(one: Judged, other: Judged) -> bool:
    """Return True if ``one`` is nowhere worse than ``other`` and somewhere better."""
    mine, theirs = _merits(one), _merits(other)
    return all(a >= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs


def _merits(one: Judged) -> tuple[float, float, float]:
    latency_ms, tokens, *_ = cost(one.candidate)
    return one.ssim, -latency_ms, -tokens


def _too_dear(found: Sequence[Candidate], budget: Budget) -> BudgetUnreachable:
    if not found:
        return BudgetUnreachable(f"nothing that could be done keeps {budget}")
    cheapest = min(found, key=cost)
    tokens, latency_ms = cheapest.plan.tokens.prompt, cheapest.latency_ms
    many_tokens = budget.tokens is not None and tokens > budget.tokens
    limit = budget.tokens if many_tokens else budget.latency_ms
    actual = tokens if many_tokens else latency_ms
    took = f"{tokens} prompt tokens" if many_tokens else _ms(latency_ms)
    unknown = sum(one.latency_ms is None for one in found)
    besides = f"; the latency of {unknown} of {len(found)} candidates is not known"
    return BudgetUnreachable(
        f"nothing keeps {budget}: the cheapest, {_words(cheapest)}, takes {took}"
        + (besides if unknown and budget.latency_ms is not None else ""),
        limit=limit,
        actual=actual,
        best=_facts(cheapest),
    )


def _too_poor(best: Judged, budget: Budget, quality_threshold: float | None) -> BudgetUnreachable:
    assert best.quality is not None  # measured, as it is within the budget
    ssim = best.quality.ssim
    return BudgetUnreachable(
        f"within {budget} the best is {_words(best.candidate)} with an SSIM of {ssim:.4g}, "
        f"below the threshold of {quality_threshold}",
        parameter="quality_threshold",
        limit=quality_threshold,
        actual=ssim,
        best={**_facts(best.candidate), "ssim": ssim},
    )


def _ms(latency_ms: float | None) -> str:
    return "a latency that is not known" if latency_ms is None else f"{latency_ms:.1f} ms"


def _words(candidate: Candidate) -> str:
    crops = f"{candidate.plan.grid} crops"
    if candidate.mode == "max_crops":
        return f"max_crops={candidate.max_crops} ({crops})"
    return f"{candidate.mode} at {candidate.decision.size} ({crops})"


def _facts(candidate: Candidate) -> dict[str, Any]:
    return {
        "mode": candidate.mode,
        "max_crops": candidate.max_crops,
        "tiling": str(candidate.plan.grid),
        "width": candidate.decision.size.width,
        "height": candidate.decision.size.height,
        "prompt_tokens": candidate.plan.tokens.prompt,
        "latency_ms": candidate.latency_ms,
    }
