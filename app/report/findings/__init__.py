"""Say in sentences, with computed numbers, what the figures of a set mean.

A finding without a subject in the set is left out. The sentences hold for any set: a single image,
equal images, no image at the limit.
"""

from collections.abc import Callable, Iterator, Sequence

from app.core.plan.config import CropConfig
from app.report.figures.set_statistics import SetStatistics
from app.report.findings import about_cost, about_counts
from app.report.words import Finding

_MAKERS: Sequence[Callable[[SetStatistics, CropConfig], Iterator[Finding]]] = (
    about_counts.most_common,
    about_counts.reduced,
    about_counts.unused,
    about_counts.unequal_tokens,
    about_counts.collapsed,
    about_counts.repeated,
    about_counts.work,
    about_counts.published,
    about_cost.half_the_work,
    about_cost.longest_side,
    about_cost.margins,
    about_cost.crop_side,
    about_cost.cliffs,
)


def findings(found: SetStatistics, config: CropConfig) -> tuple[Finding, ...]:
    """Return all findings of a set by section, the most important first."""
    return tuple(one for make in _MAKERS for one in make(found, config))
