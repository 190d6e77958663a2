"""What the figures say, in sentences. Every number in them is computed from the set at hand.

A finding is left out where the set has nothing to say about it, and is true of any set: of one
image, of images that are all alike, of none at the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from app.core.plan.config import CropConfig
from app.report.figures.set_statistics import SetStatistics
from app.report.findings import about_cost, about_counts, about_overlap
from app.report.findings.finding import Finding

__all__ = ["Finding", "findings"]

_MAKERS: Sequence[Callable[[SetStatistics, CropConfig], Iterator[Finding]]] = (
    about_counts.most_common,
    about_counts.reduced,
    about_counts.unused,
    about_counts.unequal_tokens,
    about_counts.collapsed,
    about_overlap.repeated,
    about_overlap.work,
    about_overlap.published,
    about_cost.half_the_work,
    about_cost.longest_side,
    about_cost.margins,
    about_cost.crop_side,
    about_cost.cliffs,
)


def findings(found: SetStatistics, config: CropConfig) -> tuple[Finding, ...]:
    """All that can be said of a set, section by section, in each the most important first."""
    return tuple(one for make in _MAKERS for one in make(found, config))
