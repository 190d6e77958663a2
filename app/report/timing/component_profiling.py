"""Profiling the components over real images: decode, preprocess, ViT, connector.

The method is docs/reference/timing-file.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from app.core.errors import CropPlannerError, InvalidDataset
from app.core.plan.config import CropConfig
from app.core.plan.plan import make_plan
from app.report.dataset.images import Dataset, Skipped
from app.report.dataset.selection import select
from app.report.timing.components import ComponentProfiling, Subject
from app.report.timing.profiled_encoder import ProfiledEncoder, Warming
from app.report.timing.profiling_session import Progress, Session


def profile_components(
    encoder: ProfiledEncoder,
    dataset: Dataset,
    config: CropConfig,
    *,
    repeats: int,
    warming: Warming,
    max_pixels: int,
    num_images: int | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> ComponentProfiling:
    """Time every component over the images of a data set.

    Args:
        repeats: timed passes of each image.
        warming: for each number of crops.
        max_pixels: larger images are skipped.
        num_images: only so many, evenly over the numbers of crops; all by default.
        clock: seconds, for what is done on the host.

    An image that cannot be planned, decoded or run is skipped with its reason.

    Raises:
        EncoderMismatch: the encoder runs no plan of this configuration.
        InvalidDataset: not one image could be profiled.
        ValueError: fewer than one pass or image wanted.
    """
    if repeats < 1 or (num_images is not None and num_images < 1):
        raise ValueError(f"repeats and num_images start at 1, got {repeats} and {num_images}")
    subjects, unplanned = plan_subjects(dataset, config)
    if subjects:
        encoder.check(subjects[0].plan)
    if num_images is not None:
        subjects = choose_subjects(subjects, num_images)
    session = Session(
        encoder, subjects, repeats=repeats, max_pixels=max_pixels, progress=progress, clock=clock
    )
    warmups = session.warm_up(warming)
    measured = session.rounds()
    skipped = (*dataset.skipped, *unplanned, *session.skipped)
    if not measured:
        raise _nothing(dataset, [*unplanned, *session.skipped])
    return ComponentProfiling(measured, skipped, warmups)


def plan_subjects(dataset: Dataset, config: CropConfig) -> tuple[list[Subject], list[Skipped]]:
    """The images that there are files and plans of, and the others."""
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
    """So many of them as the experiment selects images, with the most crops among them; in order.

    Data sets have most images at one number of crops: a share of each would miss the rare ones.
    """
    by_crops: dict[int, list[Subject]] = {}
    for subject in subjects:
        by_crops.setdefault(subject.plan.grid.crops, []).append(subject)
    chosen = select(by_crops, number, target_crops=max(by_crops, default=1)).items
    return sorted(chosen, key=lambda subject: subject.position)


def _nothing(dataset: Dataset, skipped: Sequence[Skipped]) -> InvalidDataset:
    first = skipped[0]  # there is one: a data set has at least one image
    return InvalidDataset(
        f"no image of {dataset.name} can be profiled; the first is {first.name}: {first.reason}",
        actual=dataset.name,
    )
