"""Time the components of passes over real images: decode, preprocess, ViT, connector.

docs/reference/timing-file.md has the method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from app.core.errors import CropPlannerError
from app.core.plan.config import CropConfig
from app.core.plan.plan import make_plan
from app.report.dataset.images import Dataset
from app.report.dataset.selection import select
from app.report.errors import InvalidDataset, Skipped
from app.report.timing.components import ComponentTiming, Subject
from app.report.timing.session import TimingProgress, TimingSession

if TYPE_CHECKING:
    from app.encoder.measuring.pacing import WarmupRule
    from app.report.timing.torch_encoder import TorchEncoder


def time_components(
    encoder: TorchEncoder,
    dataset: Dataset,
    config: CropConfig,
    *,
    repeats: int,
    warming: WarmupRule,
    max_pixels: int,
    num_images: int | None = None,
    progress: Callable[[TimingProgress], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> ComponentTiming:
    """Time every component over the images of a data set.

    An image that cannot be planned, decoded or run is skipped with its reason.

    Args:
        repeats: timed passes of each image.
        warming: the rule for each number of crops.
        max_pixels: larger images are skipped.
        num_images: the number of images, spread over the numbers of crops; None takes all.
        clock: seconds, for the components on the host.

    Raises:
        EncoderMismatch: the encoder runs no plan of this configuration.
        InvalidDataset: no image could be timed.
        ValueError: ``repeats`` or ``num_images`` is less than 1.
    """
    if repeats < 1 or (num_images is not None and num_images < 1):
        raise ValueError(f"repeats and num_images start at 1, got {repeats} and {num_images}")
    subjects, unplanned = plan_subjects(dataset, config)
    if subjects:
        encoder.check(subjects[0].plan)
    if num_images is not None:
        subjects = choose_subjects(subjects, num_images)
    session = TimingSession(
        encoder, subjects, repeats=repeats, max_pixels=max_pixels, progress=progress, clock=clock
    )
    warmups = session.warm_up(warming)
    measured = session.rounds()
    skipped = (*dataset.skipped, *unplanned, *session.skipped)
    if not measured:
        raise _nothing(dataset, [*unplanned, *session.skipped])
    return ComponentTiming(measured, skipped, warmups)


def plan_subjects(dataset: Dataset, config: CropConfig) -> tuple[list[Subject], list[Skipped]]:
    """Plan the images that have a file, and return the others with their reasons."""
    subjects: list[Subject] = []
    skipped: list[Skipped] = []
    for position, image in enumerate(dataset.images):
        if image.path is None:
            skipped.append(Skipped(image.file_name, "only its size is known, there is no file"))
            continue
        try:
            subjects.append(Subject(position, image, make_plan(image.size, config)))
        except CropPlannerError as error:
            skipped.append(Skipped(image.file_name, error.detail))
    return subjects, skipped


def choose_subjects(subjects: Sequence[Subject], number: int) -> list[Subject]:
    """Choose images by the rule of the experiment, with the most crops among them, in order.

    Most images of a data set share one number of crops; a fixed share of each would miss rare
    numbers.
    """
    by_crops: dict[int, list[Subject]] = {}
    for subject in subjects:
        by_crops.setdefault(subject.plan.grid.crops, []).append(subject)
    chosen, _ = select(by_crops, number, target_crops=max(by_crops, default=1))
    return sorted(chosen, key=lambda subject: subject.position)


def _nothing(dataset: Dataset, skipped: Sequence[Skipped]) -> InvalidDataset:
    first = skipped[0]  # a data set has at least one image
    return InvalidDataset(
        f"no image of {dataset.name} can be timed; the first is {first.name}: {first.reason}",
        actual=dataset.name,
    )
