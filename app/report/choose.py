"""Plan the images of a data set and choose the few that the report examines closely."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from app.core.errors import CollapsedImage, CropPlannerError
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.read.decode import decode
from app.report.dataset.foreign_text import plain_text
from app.report.dataset.images import Dataset, DatasetImage
from app.report.dataset.selection import group_by, select
from app.report.errors import InvalidDataset, Skipped, why
from app.report.timing.timing_file import TimingFile, TimingRow

Plans = Mapping[int | str, CropPlan]
"""Plans by the id of their image."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Pair an image with its plan and with its first row of the timing file, if any."""

    image: DatasetImage
    plan: CropPlan
    timing: TimingRow | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Compare the ``num_crops`` of a timing file with the plans made here.

    With the global crop counted as ``counts_global_crop`` says, ``agreeing`` of ``compared`` rows
    equal their plans. A small number means: the file was made under another configuration.
    """

    counts_global_crop: bool
    agreeing: int
    compared: int


@dataclass(frozen=True, slots=True)
class SelectionFacts:
    """Say how the examined images were chosen.

    Attributes:
        source: the name of the timing file, None without one.
        wanted: the number of images asked for.
        target_crops: the number of grid crops asked for.
        closest_crops: the number nearest to the target among the usable images.
        agreement: of the timing file with the plans.
        measured_on: device, dtype, runtime and weights, from the timing file.
        contended: a reason to doubt the times, from the timing file.
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
        """Return True if an image has exactly the target's number of crops."""
        return self.closest_crops == self.target_crops


def plan_images(
    dataset: Dataset, config: CropConfig
) -> tuple[dict[int | str, CropPlan], list[Skipped]]:
    """Plan each image of a data set; images of one size share a plan.

    Returns:
        The plans by image id, and the images without a plan.

    Raises:
        InvalidDataset: no image has a plan.
    """

    @cache
    def plan_or_reason(size: Size) -> CropPlan | str:
        try:
            return make_plan(size, config)
        except CollapsedImage as error:
            return error.detail

    plans: dict[int | str, CropPlan] = {}
    collapsed = []
    for image in dataset.images:
        plan = plan_or_reason(image.size)
        if isinstance(plan, str):
            collapsed.append(Skipped(image.file_name, plan))
        else:
            plans[image.image_id] = plan
    if not plans:
        raise InvalidDataset(
            f"no image of {dataset.name} can be planned; the first: {collapsed[0].reason}",
            actual=dataset.name,
        )
    return plans, collapsed


def find_candidates(
    dataset: Dataset, plans: Plans, file: TimingFile | None
) -> tuple[Sequence[Candidate], Sequence[Skipped]]:
    """Take every image with a plan; with a timing file, those with a row, in the order of the rows.

    Returns:
        The candidates, and the rows without an image.

    Raises:
        InvalidDataset: the file and the data set have no image in common.
    """
    if file is None:
        images = (image for image in dataset.images if image.image_id in plans)
        return [Candidate(image, plans[image.image_id]) for image in images], []
    found: dict[int | str, Candidate] = {}
    missing: list[Skipped] = []
    absent = f"{plain_text(file.name)} has it, but the images have not"
    for row in file.results:
        image = dataset.find(row.image_id) or dataset.find(row.file_name or "")
        if image is None:
            missing.append(Skipped(str(row.image_id), absent))
        elif image.image_id in plans and image.image_id not in found:
            found[image.image_id] = Candidate(image, plans[image.image_id], row)
    if not found:
        raise InvalidDataset(
            f"none of the {len(file.results)} images of {file.name} is in {dataset.name}",
            actual=dataset.name,
        )
    return list(found.values()), missing


def _agreement(file: TimingFile, candidates: Iterable[Candidate]) -> Agreement:
    """Count crops as the file says, else as most of its rows agree; a tie counts the global crop.

    Molmo's own code counts the global crop.
    """
    rows = [(one.timing.num_crops, one.plan) for one in candidates if one.timing]
    in_all = sum(crops == plan.total_crops for crops, plan in rows)
    in_grid = sum(crops == plan.grid.crops for crops, plan in rows)
    says = file.counts_global_crop
    counts_global = in_all >= in_grid if says is None else says
    return Agreement(counts_global, in_all if counts_global else in_grid, len(rows))


def choose(
    candidates: Sequence[Candidate],
    file: TimingFile | None,
    number: int,
    target_crops: int,
    *,
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> tuple[tuple[Candidate, ...], SelectionFacts, list[Skipped]]:
    """Choose images by :func:`select`; decode each first, since a header hides later damage.

    Args:
        candidates: the images to choose from.
        file: the timing file of the candidates, if any.
        number: of images wanted.
        target_crops: grid crops of one of them, or the nearest number.
        max_pixels: larger images are not decoded.
        progress: called with the number of images checked and the expected number.

    Returns:
        The chosen images, the facts of the choice, and the images found damaged.

    Raises:
        InvalidDataset: no image can be decoded.
    """
    damaged: list[Skipped] = []
    checked, expected = count(1), min(number, len(candidates))

    def is_whole(candidate: Candidate) -> bool:
        done = next(checked)
        progress(done, max(done, expected))
        reason = _damage(candidate.image.path, max_pixels)
        if reason is not None:
            damaged.append(Skipped(candidate.image.file_name, reason))
        return reason is None

    by_crops = group_by(candidates, lambda one: one.plan.grid.crops)
    chosen, closest_crops = select(by_crops, number, target_crops, is_whole)
    if closest_crops is None:
        raise InvalidDataset("no image can be looked at: none of them could be decoded")
    facts = SelectionFacts(
        source=plain_text(file.name) if file else None,
        wanted=number,
        target_crops=target_crops,
        closest_crops=closest_crops,
        agreement=_agreement(file, candidates) if file else None,
        measured_on=file.measured_on if file else None,
        contended=file.contended if file else None,
    )
    return chosen, facts, damaged


def _damage(path: Path | None, max_pixels: int) -> str | None:
    """Return the reason a file cannot be decoded; None if it can, or if no file is there."""
    if path is None:
        return None
    try:
        decode(path.read_bytes(), max_pixels=max_pixels)
    except (CropPlannerError, OSError, MemoryError) as error:
        return why(error)
    return None
