"""Run one timing: warm everything up, then time all images in rounds.

Each pass decodes its image again, since decoding is timed. The picture is dropped before the
network runs, so at most one picture is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np

from app.core.errors import CropPlannerError
from app.core.latency.timings import Warmup
from app.core.plan.geometry import Grid
from app.core.statistics import shuffled_rounds
from app.imaging.read.decode import decode
from app.report.errors import InvalidDataset, Skipped, why
from app.report.timing.components import ComponentTimes, ImageComponents, Subject

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
