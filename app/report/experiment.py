"""What the experiment finds, as one value, of which both the JSON file and the report are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.control.methods import MethodComparison
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan
from app.report.dataset.candidates import Agreement
from app.report.dataset.images import Dataset, DatasetImage, Skipped
from app.report.figures.averages import PredictLatency
from app.report.figures.set_statistics import SetStatistics
from app.report.timing.measured import MeasuredCount
from app.report.timing.profiling_file import ProfiledImage


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Files written for one image, relative to the output folder; None and () where there is none.

    ``grid_crops`` are in the order of the plan's crops.
    """

    crops: str
    statistics: str
    comparison: str | None = None
    original: str | None = None
    global_crop: str | None = None
    grid_crops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """One image that was looked at closely. ``profiled`` is its row of the profiling, if any."""

    image: DatasetImage
    plan: CropPlan
    methods: MethodComparison
    profiled: ProfiledImage | None
    files: ImageFiles


@dataclass(frozen=True, slots=True)
class SelectionFacts:
    """How the images that are looked at were chosen.

    ``source`` is the profiling's file name, or None where they are of the dataset itself;
    ``agreement`` says how that fits our plans, ``measured_on`` what it was measured on,
    ``contended`` why it doubts its times.
    """

    source: str | None
    wanted: int
    target_crops: int
    closest_crops: int
    agreement: Agreement | None
    measured_on: str | None = None
    contended: str | None = None

    @property
    def target_is_there(self) -> bool:
        return self.closest_crops == self.target_crops


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a command is not to be seen in its results; no path, only what one is called.

    ``images`` is the folder with an annotation file's images, where one was named.
    """

    save_crop_images: bool = True
    images: str | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything the experiment found.

    ``plans`` are of every image of the dataset that has one, by its id. ``latency`` predicts by the
    profile that was named, or says that none was.
    """

    asked: Asked
    config: CropConfig
    latency: PredictLatency
    dataset: Dataset
    selection: SelectionFacts
    examined: tuple[Examined, ...]
    skipped: tuple[Skipped, ...]
    plans: Mapping[int | str, CropPlan]
    statistics: SetStatistics
    measured: tuple[MeasuredCount, ...]

    @property
    def has_latency(self) -> bool:
        """Whether a profile says how long any of the tilings takes."""
        return any(row.latency.at(50) is not None for row in self.statistics.tilings)
