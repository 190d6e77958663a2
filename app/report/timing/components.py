"""What is timed of an image, component by component: the values that a profiling is made of."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields

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
class ComponentProfiling:
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
