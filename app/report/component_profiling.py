"""Profiling the components over real images: decode, preprocess, ViT, connector.

The method is docs/profiling.md. Everything is warm before it is timed, rounds visit the images in
shuffled order, and no figure is the difference of two others. A picture is decoded in each of its
passes anew, which is what is timed, so no more than one is in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from app.core.config import CropConfig
from app.core.errors import CropPlannerError, InvalidDataset
from app.core.geometry import Grid
from app.core.plan import CropPlan, make_plan
from app.core.rounds import shuffled_rounds
from app.core.timings import Warmup
from app.imaging.decode import decode
from app.report.dataset import Dataset, DatasetImage, Skipped, why
from app.report.sampling import evenly

Phase = Literal["warm-up", "rounds"]


class PreparationTimes(Protocol):
    """In ms; ``transfer_ms`` is the part that is the copy to the device, None if there is none."""

    @property
    def preprocess_ms(self) -> float: ...
    @property
    def transfer_ms(self) -> float | None: ...


class PassTimes(Protocol):
    """In ms; ``vision_ms`` is the pass that ``vit_ms`` and ``connector_ms`` are the parts of."""

    @property
    def vit_ms(self) -> float: ...
    @property
    def connector_ms(self) -> float: ...
    @property
    def vision_ms(self) -> float: ...
    @property
    def cpu_ms(self) -> float: ...


class ProfiledEncoder(Protocol):
    """What is profiled; :class:`app.report.torch_encoder.TorchEncoder` is one."""

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if no plan of this configuration can be run."""

    def prepare(
        self, pixels: npt.NDArray[np.uint8], plan: CropPlan
    ) -> tuple[Any, PreparationTimes]:
        """The crops of uint8 RGB [H, W, 3] on the device, once they are there."""

    def run(self, prepared: Any) -> PassTimes:
        """One pass over them, once its tokens are there."""


class Warming(Protocol):
    """A rule for warming up; :class:`app.encoder.warmup.WarmupRule` is one."""

    def warm(self, call: Callable[[], float]) -> Warmup:
        """Call until the times have settled, at least once."""


@dataclass(frozen=True, slots=True)
class ComponentTimes:
    """One pass of one image, in ms.

    Attributes:
        decode: the file's bytes → upright RGB pixels.
        preprocess: pixels → patches on the device.
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


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a profiling is: ``done`` from 0 to 1, and what was done last."""

    done: float
    phase: Phase
    subject: Subject


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
) -> ComponentProfiling:
    """Time every component over the images of a data set.

    Args:
        repeats: timed passes of each image.
        warming: for each number of crops.
        max_pixels: larger images are skipped.
        num_images: only so many, evenly over the numbers of crops; all by default.

    An image that cannot be planned, decoded or run is skipped with its reason.

    Raises:
        EncoderMismatch: the encoder runs no plan of this configuration.
        InvalidDataset: not one image could be profiled.
    """
    subjects, skipped = plan_subjects(dataset, config)
    if subjects:
        encoder.check(subjects[0].plan)
        subjects = evenly(
            subjects,
            num_images or len(subjects),
            crops_of=lambda subject: subject.plan.total_crops,
            pixels_of=lambda subject: subject.image.size.pixels,
        )
    session = _Session(encoder, subjects, repeats, max_pixels, progress)
    warmups = session.warm_up(warming)
    measured = session.rounds()
    skipped = [*dataset.skipped, *skipped, *session.skipped]
    if not measured:
        raise InvalidDataset(
            f"no image of {dataset.name} can be profiled; the first is {skipped[0].name}: "
            f"{skipped[0].reason}"
        )
    return ComponentProfiling(tuple(measured), tuple(skipped), warmups)


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


class _Session:
    """One profiling under way: warm-up, then rounds. What fails once is left out from then on."""

    def __init__(
        self,
        encoder: ProfiledEncoder,
        subjects: Sequence[Subject],
        repeats: int,
        max_pixels: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self._encoder, self._subjects, self._repeats = encoder, subjects, repeats
        self._max_pixels, self._progress = max_pixels, progress
        self.skipped: list[Skipped] = []
        self._failed: set[int] = set()
        self._done = 0
        kinds = {_kind(subject): subject.plan.total_crops for subject in subjects}
        of_rounds = sum(subject.plan.total_crops for subject in subjects) * repeats
        self._work = sum(kinds.values()) + of_rounds

    def warm_up(self, warming: Warming) -> dict[int, Warmup]:
        """Each number of crops by the rule, each tiling and each type of file once at least."""
        warmups: dict[int, Warmup] = {}
        warm: set[tuple[Grid, str]] = set()
        for subject in sorted(self._subjects, key=lambda subject: subject.plan.total_crops):
            if _kind(subject) in warm:
                continue
            count, once = subject.plan.total_crops, partial(self._pass_ms, subject)
            with self._failure_noted(subject):  # which leaves its kind to the next one
                if count in warmups:
                    once()
                else:
                    warmups[count] = warming.warm(once)
                warm.add(_kind(subject))
                self._tell("warm-up", subject)
        return warmups

    def rounds(self) -> list[ImageComponents]:
        """Every image once a round, in an order shuffled anew; those that never failed."""
        passes: dict[int, list[ComponentTimes]] = {one.position: [] for one in self._subjects}
        for subject in chain.from_iterable(shuffled_rounds(self._subjects, self._repeats)):
            if subject.position not in self._failed:
                with self._failure_noted(subject):
                    passes[subject.position].append(self._pass(subject))
            self._tell("rounds", subject)
        return [
            ImageComponents(subject, tuple(passes[subject.position]))
            for subject in self._subjects
            if subject.position not in self._failed
        ]

    def _pass(self, subject: Subject) -> ComponentTimes:
        """Time every component once, one after the other."""
        assert subject.image.path is not None
        data = subject.image.path.read_bytes()  # not timed: a disk is no component
        started = time.perf_counter()
        picture = decode(data, max_pixels=self._max_pixels)
        decode_ms = (time.perf_counter() - started) * 1e3
        if picture.size != subject.plan.image:
            raise InvalidDataset(f"it had {subject.plan.image} px at first, now {picture.size}")
        prepared, preparation = self._encoder.prepare(np.asarray(picture.pixels), subject.plan)
        times = self._encoder.run(prepared)
        return ComponentTimes(
            decode=decode_ms,
            preprocess=preparation.preprocess_ms,
            transfer=preparation.transfer_ms,
            vit=times.vit_ms,
            connector=times.connector_ms,
            vision=times.vision_ms,
            cpu=times.cpu_ms,
        )

    def _pass_ms(self, subject: Subject) -> float:
        times = self._pass(subject)
        return times.decode + times.preprocess + times.vision

    @contextmanager
    def _failure_noted(self, subject: Subject) -> Iterator[None]:
        """What is wrong with one image, or with its size on this device, is no other's matter."""
        try:
            yield
        except (CropPlannerError, OSError, MemoryError) as error:
            self._failed.add(subject.position)
            self.skipped.append(Skipped(subject.image.file_name, why(error)))

    def _tell(self, phase: Phase, subject: Subject) -> None:
        self._done += subject.plan.total_crops
        self._progress(Progress(min(1.0, self._done / self._work), phase, subject))


def _kind(subject: Subject) -> tuple[Grid, str]:
    """Images of one kind take the same way: the same shapes, the same decoder."""
    return subject.plan.grid, PurePosixPath(subject.image.file_name).suffix.lower()
