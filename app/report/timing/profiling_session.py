"""One profiling under way: everything is warm before any of it is timed, then come the rounds.

A picture is decoded anew in each of its passes, which is what is timed, and let go before the
network runs: no more than one is in memory, however large the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Literal

import numpy as np

from app.core.errors import CropPlannerError, InvalidDataset
from app.core.latency.timings import Warmup
from app.core.plan.geometry import Grid
from app.core.statistics import shuffled_rounds
from app.imaging.read.decode import decode
from app.report.dataset.images import Skipped, why
from app.report.timing.components import ComponentTimes, ImageComponents, Subject
from app.report.timing.profiled_encoder import ProfiledEncoder, Warming

Phase = Literal["warm-up", "rounds"]

PASS, PREPARATION = 10, 1
"""Weights in the progress, per crop. Whole numbers, so that their sum ends at just 1."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a profiling is: ``done`` from 0 to 1, and what was done last."""

    done: float
    phase: Phase
    subject: Subject


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An image's crops on the device, and what it took to get them there, in ms."""

    crops: Any
    decode_ms: float
    preprocess_ms: float
    transfer_ms: float | None


class Session:
    """Call :meth:`warm_up`, then :meth:`rounds`. An image that fails once is left out from then on.

    ``skipped`` says why, for each of them.
    """

    def __init__(
        self,
        encoder: ProfiledEncoder,
        subjects: Sequence[Subject],
        *,
        repeats: int,
        max_pixels: int,
        progress: Callable[[Progress], None],
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

    def warm_up(self, warming: Warming) -> dict[int, Warmup]:
        """Each number of crops by the rule, each tiling once, and every image prepared once.

        So no decoder is first used, no buffer first allocated and no file first read while it is
        timed; and a damaged image shows before any pass is spent on it.
        """
        warmups: dict[int, Warmup] = {}
        warm: set[Grid] = set()
        begun: set[Grid] = set()
        for subject in self._smallest_first:
            grid, crops = subject.plan.grid, subject.plan.total_crops
            with self._failure_noted(subject):  # which leaves its tiling to the next one
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
        """Every image once a round, in an order shuffled anew; those that never failed."""
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
        prepared = self._prepare(subject)
        times = self._encoder.run(prepared.crops)
        return ComponentTimes(
            decode=prepared.decode_ms,
            preprocess=prepared.preprocess_ms,
            transfer=prepared.transfer_ms,
            vit=times.vit_ms,
            connector=times.connector_ms,
            vision=times.vision_ms,
            cpu=times.cpu_ms,
        )

    def _prepare(self, subject: Subject) -> _Prepared:
        assert subject.image.path is not None
        self._encoder.check_memory(subject.plan)
        data = subject.image.path.read_bytes()  # not timed: a disk is no component
        began = self._clock()
        picture = decode(data, max_pixels=self._max_pixels)
        decoded = self._clock()
        if picture.size != subject.plan.image:
            raise InvalidDataset(f"it had {subject.plan.image} px at first, now {picture.size}")
        resumed = self._clock()
        crops, transfer_ms = self._encoder.prepare(np.asarray(picture.pixels), subject.plan)
        ready = self._clock()
        return _Prepared(crops, (decoded - began) * 1e3, (ready - resumed) * 1e3, transfer_ms)

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

    def _tell(self, phase: Phase, subject: Subject, weight: int) -> None:
        self._done += weight * subject.plan.total_crops
        self._progress(Progress(self._done / self._work, phase, subject))
