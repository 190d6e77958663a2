"""Time the passes of one number of crops: warm-up, timed passes of each scope, and the entry.

Each scope is timed directly, in passes of its own.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

from torch import Tensor

from app.core.latency.profile import ProfileEntry
from app.core.latency.timings import Samples, Warmup
from app.core.plan.plan import CropPlan
from app.encoder.device.device import elapsed_ms, mark, synchronise
from app.encoder.device.memory import with_peak_bytes
from app.encoder.encoder import Encoder, HostImage, PreparedCrops
from app.encoder.measuring.pacing import Hooks, Run, WarmupRule
from app.encoder.synthetic import ProfilePlan, synthetic_crops, synthetic_image

Scope = Literal["vision", "transfer_vision", "full"]
"""``vision``: patches on the device → tokens on the device, the vision-token latency.
``transfer_vision``: pixels in pinned host memory → tokens on the device. ``full``: decoded image →
tokens on the device."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
NO_SAMPLES = Samples((), (), ())


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Time one number of crops in each of its scopes."""

    encoder: Encoder
    crops: PreparedCrops
    image: tuple[Tensor, CropPlan] | None
    waiting: HostImage | None

    def scopes(self, wanted: Sequence[Scope]) -> tuple[Scope, ...]:
        """List the possible scopes of ``wanted``.

        The global crop alone is no image, and a CPU has no bus to cross.
        """
        here = {"vision": True, "transfer_vision": self.waiting, "full": self.image}
        return tuple(scope for scope in wanted if here[scope])

    def time(self, scope: Scope) -> Samples:
        """Time one pass of a scope."""
        if scope == "transfer_vision":
            return replace(NO_SAMPLES, transfer_vision=(self._transfer_vision_ms(),))
        if scope == "full":
            return replace(NO_SAMPLES, full=(self._full_ms(),))
        times = self.encoder.run_timed(self.crops)
        return Samples(
            vision=(times.vision_ms,),
            vit=(times.vit_ms,),
            connector=(times.connector_ms,),
            cpu=(times.cpu_ms,),
        )

    def _transfer_vision_ms(self) -> float:
        """Time one pass from pixels in pinned memory, in ms."""
        assert self.waiting is not None
        device = self.encoder.device
        synchronise(device)  # so that no earlier work is timed
        start = mark(device)
        self.encoder.run(self.encoder.upload(self.waiting))
        end = mark(device)
        synchronise(device)
        return elapsed_ms(start, end)

    def _full_ms(self) -> float:
        """Time one pass from a decoded image, in ms of the host's clock."""
        assert self.image is not None
        device = self.encoder.device
        synchronise(device)
        started = time.perf_counter()
        self.encoder.run(self.encoder.prepare(*self.image))
        synchronise(device)
        return (time.perf_counter() - started) * 1e3


def subject_of(encoder: Encoder, plan: ProfilePlan, scopes: Sequence[Scope]) -> Subject:
    """Make the subject of a plan from noise: patches, and an image if a scope needs one."""
    needs_image = plan.total_crops > 1 and set(scopes) != {"vision"}
    image = synthetic_image(plan) if needs_image else None
    staged = encoder.stage(*image) if image else None
    return Subject(
        encoder=encoder,
        crops=synthetic_crops(plan, encoder.device, encoder.dtype),
        image=image,
        waiting=staged if isinstance(staged, HostImage) else None,
    )


class Series:
    """Collect the passes of one number of crops.

    Args:
        run: carries out each pass.
        earlier: the entry of an earlier measurement, to add passes to.
    """

    def __init__(
        self, plan: ProfilePlan, subject: Subject, run: Run, earlier: ProfileEntry | None = None
    ) -> None:
        self.plan, self.subject = plan, subject
        self._run = run
        self._earlier = earlier.samples_ms if earlier else NO_SAMPLES
        self._first = self._timed = NO_SAMPLES
        self._warmup = Warmup(0, settled=False)
        self._peak_bytes = earlier.peak_memory_bytes if earlier else None

    def warm(self, scopes: Sequence[Scope], rule: WarmupRule, hooks: Hooks) -> None:
        """Warm every scope up, one pass of each a call; then time a first pass of each.

        The first passes stand for this count until the first round reaches the count. Rounds begin
        after the warm-up of all counts, and time may end before. The first pass of ``vision`` also
        shows the peak of the memory.
        """

        def call() -> float:
            return sum(_ms(self._time(scope), scope) for scope in scopes)

        self._warmup = rule.warm(call, clock=hooks.clock, until=hooks.until)
        for scope in scopes:
            if hooks.until():
                return
            first = self._time_watched() if scope == "vision" else self._time(scope)
            self._first = self._first.then(first)

    def time(self, scope: Scope) -> float:
        """Time one pass of a scope, record the pass, and return its ms.

        Raises:
            OutOfDeviceMemory: the pass did not fit.
        """
        timed = self._time(scope)
        self._timed = self._timed.then(timed)
        return _ms(timed, scope)

    def passes(self, scope: Scope) -> int:
        """Count the timed passes of a scope with those of the earlier entry, without the first."""
        return len(getattr(self._earlier, scope)) + len(getattr(self._timed, scope))

    def entry(self) -> ProfileEntry:
        """Make the statistics of all passes.

        Raises:
            ValueError: no pass of ``vision`` was timed.
        """
        timed, first = self._timed, self._first
        found = replace(
            timed if timed.vision else first,
            transfer_vision=timed.transfer_vision or first.transfer_vision,
            full=timed.full or first.full,
        )
        return ProfileEntry.of(
            self._earlier.then(found),
            rows=self.plan.rows,
            cols=self.plan.cols,
            patch_tokens=self.plan.patch_tokens,
            flops=self.plan.flops,
            warmup=self._warmup,
            peak_memory_bytes=self._peak_bytes,
        )

    @property
    def begun(self) -> bool:
        """Return True if any pass was timed."""
        return bool(self._timed.vision or self._first.vision)

    def _time(self, scope: Scope) -> Samples:
        return self._run(partial(self.subject.time, scope))

    def _time_watched(self) -> Samples:
        """Time a pass of ``vision``, and record its peak memory."""
        vision = partial(self.subject.time, "vision")
        device = self.subject.encoder.device
        times, self._peak_bytes = self._run(partial(with_peak_bytes, device, vision))
        return times


def _ms(timed: Samples, scope: Scope) -> float:
    """Return the ms of the one pass of a scope."""
    return float(getattr(timed, scope)[0])
