"""What is timed of an image, component by component: the values that a profiling is made of."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from app.core.latency.timings import Warmup
from app.core.plan.plan import CropPlan
from app.report.dataset.images import DatasetImage, Skipped


@dataclass(frozen=True, slots=True)
class ComponentTimes:
    """One pass of one image, in ms. Each is timed directly; none is the difference of two others.

    Attributes:
        decode: the file's bytes → upright RGB pixels.
        preprocess: these pixels → patches on the device.
        transfer: of ``preprocess``, the copy over the bus; None where there is none.
        vit: patches → features.
        connector: features → vision tokens.
        vision: patches → vision tokens; ViT and connector are its parts.
        cpu: CPU time of the whole process during ``vision``, over all its threads.
    """

    decode: float
    preprocess: float
    transfer: float | None
    vit: float
    connector: float
    vision: float
    cpu: float


COMPONENTS = tuple(one.name for one in fields(ComponentTimes))


@dataclass(frozen=True, slots=True)
class Subject:
    """An image to be profiled: its place in the data set, and its plan."""

    position: int
    image: DatasetImage
    plan: CropPlan


@dataclass(frozen=True, slots=True)
class ImageComponents:
    """What was measured of one image: its passes in the order they were run."""

    subject: Subject
    passes: tuple[ComponentTimes, ...]

    def samples_ms(self, component: str) -> list[float]:
        """All times of a component; none where there is no such thing."""
        times = (getattr(one, component) for one in self.passes)
        return [ms for ms in times if ms is not None]


@dataclass(frozen=True, slots=True)
class ComponentTiming:
    """Images in the data set's order; ``warmups`` by total crops."""

    images: tuple[ImageComponents, ...]
    skipped: tuple[Skipped, ...]
    warmups: dict[int, Warmup]

    def total_ms(self, component: str) -> float:
        """Of all passes."""
        return sum(sum(image.samples_ms(component)) for image in self.images)


def median_ms(images: Sequence[ImageComponents], component: str) -> float | None:
    """The median of the images' own medians, so that each counts once; None without a sample."""
    samples = (image.samples_ms(component) for image in images)
    medians = [statistics.median(one) for one in samples if one]
    return statistics.median(medians) if medians else None


CLOCK_COMPONENTS = tuple(name for name in COMPONENTS if name != "cpu")
"""Those that are a time on the clock; CPU time is of all threads, and only for who doubts one."""


@dataclass(frozen=True, slots=True)
class MeasuredCount:
    """Images with one number of crops: by component, the median of their medians in ms."""

    total_crops: int
    images: int
    median_ms: Mapping[str, float]


def measured_counts(
    rows: Iterable[tuple[CropPlan, Mapping[str, Any]]],
) -> tuple[MeasuredCount, ...]:
    """What ``crop-planner profile`` measured; () where the rows are of another origin."""
    by_crops: dict[int, list[Mapping[str, float]]] = {}
    for plan, row in rows:
        medians = _medians(row)
        if medians:
            by_crops.setdefault(plan.total_crops, []).append(medians)
    return tuple(
        MeasuredCount(crops, len(rows), _median_of_each(rows))
        for crops, rows in sorted(by_crops.items())
    )


def _medians(row: Mapping[str, Any]) -> Mapping[str, float]:
    times = {name: row.get(f"{name}_ms") for name in CLOCK_COMPONENTS}
    medians = {name: part.get("p50") for name, part in times.items() if isinstance(part, dict)}
    return {name: ms for name, ms in medians.items() if isinstance(ms, int | float)}


def _median_of_each(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    known = {name: [row[name] for row in rows if name in row] for name in CLOCK_COMPONENTS}
    return {name: statistics.median(values) for name, values in known.items() if values}
