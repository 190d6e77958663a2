"""The images that may be looked at: all of a set, or those of a profiling of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import InvalidDataset
from app.core.plan.plan import CropPlan
from app.report.dataset.identity import plain_text
from app.report.dataset.images import Dataset, DatasetImage, Skipped
from app.report.timing.profiling_file import ProfiledImage, Profiling, read_profiling

Plans = Mapping[int | str, CropPlan]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that may be looked at; ``profiled`` is its first row of the profiling."""

    image: DatasetImage
    plan: CropPlan
    profiled: ProfiledImage | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the ``num_crops`` of a profiling count, found by comparing its rows with our plans.

    ``agreeing`` of ``compared`` rows are as our plans then. Where few are, the profiling was made
    under another configuration.
    """

    counts_global_crop: bool
    agreeing: int
    compared: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Images by their grid crops, each in the order of the set, or of the profiling's rows.

    ``source`` is the profiling's file name, what follows is its own; None without one.
    """

    by_crops: Mapping[int, Sequence[Candidate]]
    skipped: tuple[Skipped, ...] = ()
    source: str | None = None
    agreement: Agreement | None = None
    measured_on: str | None = None
    contended: str | None = None

    @property
    def number(self) -> int:
        """Of images."""
        return sum(len(same) for same in self.by_crops.values())

    @property
    def profiled(self) -> list[tuple[CropPlan, ProfiledImage]]:
        """The rows of the profiling that are of images of the set, first of each image."""
        candidates = [one for same in self.by_crops.values() for one in same]
        return [(one.plan, one.profiled) for one in candidates if one.profiled is not None]


def all_candidates(dataset: Dataset, plans: Plans) -> Candidates:
    """Every image of a set that has a plan."""
    found = (
        Candidate(image, plans[image.image_id])
        for image in dataset.images
        if image.image_id in plans
    )
    return Candidates(_by_crops(found))


def profiled_candidates(dataset: Dataset, plans: Plans, path: Path) -> Candidates:
    """The images of a set that a profiling has a row of.

    Raises:
        InvalidProfiling: as reading it says.
        InvalidDataset: the two have no image in common.
    """
    profiling = read_profiling(path)
    found: dict[int | str, Candidate] = {}
    missing: list[Skipped] = []
    for row in profiling.results:
        image = dataset.find(row.image_id) or (dataset.find(row.file_name or ""))
        if image is None:
            missing.append(
                Skipped(
                    str(row.image_id), f"{plain_text(path.name)} has it, but the images have not"
                )
            )
        elif image.image_id in plans and image.image_id not in found:
            found[image.image_id] = Candidate(image, plans[image.image_id], row)
    if not found:
        raise InvalidDataset(
            f"none of the {len(profiling.results)} images of {path.name} is in {dataset.name}",
            actual=dataset.name,
        )
    agreement = _agreement(profiling, list(found.values()))
    source = plain_text(path.name)
    return Candidates(
        _by_crops(found.values()),
        tuple(missing),
        source,
        agreement,
        profiling.measured_on,
        profiling.contended,
    )


def _by_crops(candidates: Iterable[Candidate]) -> Mapping[int, Sequence[Candidate]]:
    by_crops: dict[int, list[Candidate]] = {}
    for one in candidates:
        by_crops.setdefault(one.plan.grid.crops, []).append(one)
    return by_crops


def _agreement(profiling: Profiling, candidates: Sequence[Candidate]) -> Agreement:
    """As the file says what it counts, else as more of its rows agree; Molmo's code counts all."""
    rows = [(one.profiled.num_crops, one.plan) for one in candidates if one.profiled]
    in_all = sum(crops == plan.total_crops for crops, plan in rows)
    in_grid = sum(crops == plan.grid.crops for crops, plan in rows)
    says = profiling.counts_global_crop
    counts_global = in_all >= in_grid if says is None else says
    return Agreement(counts_global, in_all if counts_global else in_grid, len(rows))
