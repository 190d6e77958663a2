"""Time the components of passes over real images: decode, preprocess, ViT, connector.

Everything is warmed up, then all images are timed in rounds. Each pass decodes its image again,
since decoding is timed. The picture is dropped before the network runs, so at most one picture is
in memory. docs/reference/timing-file.md has the method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np

from app.core.errors import CropPlannerError
from app.core.latency.timings import Warmup
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid
from app.core.plan.plan import make_plan
from app.core.statistics import shuffled_rounds
from app.imaging.read.decode import decode
from app.report.dataset.images import Dataset
from app.report.dataset.selection import group_by, select
from app.report.errors import InvalidDataset, Skipped, why
from app.report.timing.components import ComponentTimes, ComponentTiming, ImageComponents, Subject

if TYPE_CHECKING:  # torch takes seconds to import, and a test needs no network
    from app.encoder.encoder import PreparedCrops
    from app.encoder.measuring.pacing import WarmupRule
    from app.report.timing.torch_encoder import TorchEncoder

Phase = Literal["warm-up", "rounds"]

PASS, PREPARATION = 10, 1
"""Weigh the steps of the progress per crop. Whole numbers add up to exactly 1."""


@dataclass(frozen=True, slots=True)
class TimingProgress:
    """Report the progress: ``done`` from 0 to 1, and the last image."""

    done: float
    phase: Phase
    subject: Subject


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
        first = (*unplanned, *session.skipped)[0]  # a data set has at least one image
        raise InvalidDataset(
            f"no image of {dataset.name} can be timed; the first is {first.name}: {first.reason}",
            actual=dataset.name,
        )
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
    by_crops = group_by(subjects, lambda subject: subject.plan.grid.crops)
    chosen, _ = select(by_crops, number, target_crops=max(by_crops, default=1))
    return sorted(chosen, key=lambda subject: subject.position)


class TimingSession:
    """Warm up by :meth:`warm_up`, then time by :meth:`rounds`.

    An image that fails once is left out from then on; ``skipped`` has the reasons.
    """

    def __init__(
        self,
        encoder: TorchEncoder,
        subjects: Sequence[Subject],
        *,
        repeats: int,
        max_pixels: int,
        progress: Callable[[TimingProgress], None],
        clock: Callable[[], float],
    ) -> None:
        self._encoder, self._repeats, self._max_pixels = encoder, repeats, max_pixels
        self._subjects, self._clock = subjects, clock
        self._smallest_first = sorted(subjects, key=lambda subject: subject.plan.total_crops)
        self.skipped: list[Skipped] = []
        self._failed: set[int] = set()
        self._progress, self._done = progress, 0
        once = sum(subject.plan.total_crops for subject in subjects)
        first = sum(grid.crops + 1 for grid in {subject.plan.grid for subject in subjects})
        self._work = PASS * (first + once * repeats) + PREPARATION * (once - first)

    def warm_up(self, warming: WarmupRule) -> dict[int, Warmup]:
        """Warm each number of crops up by the rule; run each tiling and prepare each image once.

        No timed pass is then the first to use a decoder, a buffer or a file. A damaged image shows
        before any pass is spent on it.
        """
        warmups: dict[int, Warmup] = {}
        warm: set[Grid] = set()
        begun: set[Grid] = set()
        for subject in self._smallest_first:
            grid, crops = subject.plan.grid, subject.plan.total_crops
            with self._failure_noted(subject):  # a failure leaves the tiling to the next image
                if crops not in warmups:
                    warmups[crops] = warming.warm(partial(self._pass_ms, subject))
                elif grid not in warm:
                    self._pass(subject)
                else:
                    self._prepare(subject)
                warm.add(grid)
            self._tell("warm-up", subject, PREPARATION if grid in begun else PASS)
            begun.add(grid)
        return warmups

    def rounds(self) -> tuple[ImageComponents, ...]:
        """Run every image once a round, in a new random order.

        Returns:
            The images that never failed.
        """
        passes: dict[int, list[ComponentTimes]] = {one.position: [] for one in self._subjects}
        for subject in chain.from_iterable(shuffled_rounds(self._subjects, self._repeats)):
            if subject.position not in self._failed:
                with self._failure_noted(subject):
                    passes[subject.position].append(self._pass(subject))
            self._tell("rounds", subject, PASS)
        return tuple(
            ImageComponents(subject, tuple(passes[subject.position]))
            for subject in self._subjects
            if subject.position not in self._failed
        )

    def _pass(self, subject: Subject) -> ComponentTimes:
        """Time every component once, one after the other."""
        crops, decode_ms, preprocess_ms, transfer_ms = self._prepare(subject)
        times = self._encoder.run(crops)
        return ComponentTimes(
            decode=decode_ms,
            preprocess=preprocess_ms,
            transfer=transfer_ms,
            vit=times.vit_ms,
            connector=times.connector_ms,
            vision=times.vision_ms,
            cpu=times.cpu_ms,
        )

    def _prepare(self, subject: Subject) -> tuple[PreparedCrops, float, float, float | None]:
        """Return the crops on the device; and the ms of decode, preprocess and transfer."""
        assert subject.image.path is not None
        self._encoder.check_memory(subject.plan)
        data = subject.image.path.read_bytes()  # not timed: reading the disk is no component
        began = self._clock()
        picture = decode(data, max_pixels=self._max_pixels)
        decoded = self._clock()
        if picture.size != subject.plan.image:
            raise InvalidDataset(f"it had {subject.plan.image} px at first, now {picture.size}")
        resumed = self._clock()
        crops, transfer_ms = self._encoder.prepare(np.asarray(picture.pixels), subject.plan)
        ready = self._clock()
        return crops, (decoded - began) * 1e3, (ready - resumed) * 1e3, transfer_ms

    def _pass_ms(self, subject: Subject) -> float:
        times = self._pass(subject)
        return times.decode + times.preprocess + times.vision

    @contextmanager
    def _failure_noted(self, subject: Subject) -> Iterator[None]:
        """Skip an image that fails, and go on with the others."""
        try:
            yield
        except (CropPlannerError, OSError, MemoryError) as error:
            self._failed.add(subject.position)
            self.skipped.append(Skipped(subject.image.file_name, why(error)))

    def _tell(self, phase: Phase, subject: Subject, weight: int) -> None:
        self._done += weight * subject.plan.total_crops
        self._progress(TimingProgress(self._done / self._work, phase, subject))
