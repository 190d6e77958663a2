"""Define the components of a pass, their times over images, and their medians."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from app.core.latency.timings import Warmup
from app.core.plan.plan import CropPlan
from app.report.dataset.images import DatasetImage
from app.report.dataset.selection import group_by
from app.report.errors import Skipped


@dataclass(frozen=True, slots=True)
class ComponentTimes:
    """Hold the times of one pass over one image, in ms, each timed directly.

    Attributes:
        decode: the file's bytes → upright RGB pixels.
        preprocess: these pixels → patches on the device.
        transfer: the part of ``preprocess`` on the bus; None without a bus.
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
    """Describe an image to be timed: its place in the data set, and its plan."""

    position: int
    image: DatasetImage
    plan: CropPlan


@dataclass(frozen=True, slots=True)
class ImageComponents:
    """Hold the passes of one image in the order of running."""

    subject: Subject
    passes: tuple[ComponentTimes, ...]

    def samples_ms(self, component: str) -> list[float]:
        """Return all times of a component, [] for a component that this device lacks."""
        times = (getattr(one, component) for one in self.passes)
        return [ms for ms in times if ms is not None]


@dataclass(frozen=True, slots=True)
class ComponentTiming:
    """Hold the timing of a set: images in the set's order, and ``warmups`` by total crops."""

    images: tuple[ImageComponents, ...]
    skipped: tuple[Skipped, ...]
    warmups: dict[int, Warmup]

    def total_ms(self, component: str) -> float:
        """Add a component up over all passes."""
        return sum(sum(image.samples_ms(component)) for image in self.images)


def median_ms(images: Sequence[ImageComponents], component: str) -> float | None:
    """Return the median of the images' medians; None without a sample."""
    samples = (image.samples_ms(component) for image in images)
    medians = [statistics.median(one) for one in samples if one]
    return statistics.median(medians) if medians else None


CLOCK_COMPONENTS = tuple(name for name in COMPONENTS if name != "cpu")
"""Leave the CPU time out: it is a sum over threads."""


@dataclass(frozen=True, slots=True)
class MeasuredCount:
    """Hold, for one number of crops, the median of the images' medians by component, in ms."""

    total_crops: int
    images: int
    median_ms: Mapping[str, float]


def measured_counts(
    rows: Iterable[tuple[CropPlan, Mapping[str, Any]]],
) -> tuple[MeasuredCount, ...]:
    """Read the medians of ``crop-planner profile``; rows from other programs may have none."""
    known = ((plan.total_crops, medians) for plan, row in rows if (medians := _medians(row)))
    return tuple(
        MeasuredCount(crops, len(same), _median_of_each([medians for _, medians in same]))
        for crops, same in sorted(group_by(known, lambda one: one[0]).items())
    )


def _medians(row: Mapping[str, Any]) -> Mapping[str, float]:
    times = {name: row.get(f"{name}_ms") for name in CLOCK_COMPONENTS}
    medians = {name: part.get("p50") for name, part in times.items() if isinstance(part, dict)}
    return {name: ms for name, ms in medians.items() if isinstance(ms, int | float)}


def _median_of_each(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    known = {name: [row[name] for row in rows if name in row] for name in CLOCK_COMPONENTS}
    return {name: statistics.median(values) for name, values in known.items() if values}
