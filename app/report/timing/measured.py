"""What a profiling measured, by the number of crops."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.plan.plan import CropPlan
from app.report.timing import components
from app.report.timing.profiling_file import ProfiledImage

COMPONENTS = tuple(name for name in components.COMPONENTS if name != "cpu")
"""Those that are a time on the clock; CPU time is of all threads, and only for who doubts one."""


@dataclass(frozen=True, slots=True)
class MeasuredCount:
    """Images with one number of crops: by component, the median of their medians in ms."""

    total_crops: int
    images: int
    median_ms: Mapping[str, float]


def measured_counts(
    profiled: Sequence[tuple[CropPlan, ProfiledImage]],
) -> tuple[MeasuredCount, ...]:
    """What ``crop-planner profile`` measured; () where the rows are of another origin."""
    by_crops: dict[int, list[Mapping[str, float]]] = {}
    for plan, image in profiled:
        medians = _medians(image.row)
        if medians:
            by_crops.setdefault(plan.total_crops, []).append(medians)
    return tuple(
        MeasuredCount(crops, len(rows), _median_of_each(rows))
        for crops, rows in sorted(by_crops.items())
    )


def _medians(row: Mapping[str, Any]) -> Mapping[str, float]:
    times = {name: row.get(f"{name}_ms") for name in COMPONENTS}
    medians = {name: part.get("p50") for name, part in times.items() if isinstance(part, dict)}
    return {name: ms for name, ms in medians.items() if isinstance(ms, int | float)}


def _median_of_each(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    known = {name: [row[name] for row in rows if name in row] for name in COMPONENTS}
    return {name: statistics.median(values) for name, values in known.items() if values}
