"""The encoder in the service: loaded and profiled behind the answers, measured on request."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from app.core.errors import (
    CropPlannerError,
    DeadlineExceeded,
    EncoderUnavailable,
)
from app.core.latency import Latency, VisionLatency, latency_from_profile
from app.core.plan import CropPlan
from app.core.profile import Profile
from app.core.timings import Percentiles
from app.serving.worker import DeviceWorker, WorkerState

if TYPE_CHECKING:
    from torch import Tensor

    from app.imaging.decode import Picture

T = TypeVar("T")
EncoderState = Literal["off", "loading", "ready", "failed"]
ProfileState = Literal["off", "waiting", "measuring", "complete", "partial", "failed"]

WARMUP, DEFAULT_REPEATS = 1, 3
"""Passes of a measurement on request: not counted, and counted."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MeasuredPass:
    """One pass over an image's own crops, in ms."""

    vision_ms: float
    vit_ms: float
    connector_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """An image's crops, prepared as far as they can be without the device.

    ``total_crops`` is what it adds to a pass; ``crops`` only the encoder that made it reads.
    """

    total_crops: int
    crops: Any


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTokens:
    """One image's vision tokens, on the host.

    ``tokens`` [N, L] in the encoder's dtype; ``positions`` int64 [N], where each goes in the
    image's prompt tokens.
    """

    tokens: Tensor
    positions: Tensor


class ServedEncoder(Protocol):
    """What the service needs of an encoder.

    Every call but ``check`` and ``stage`` comes from the worker's thread. ``app.serving.backend``
    has the real one; a test passes its own.
    """

    @property
    def model(self) -> str:
        """The family's name."""

    @property
    def device(self) -> str:
        """The device's own name."""

    @property
    def dtype(self) -> str:
        """What it computes in."""

    @property
    def runtime(self) -> str:
        """How the network is run."""

    @property
    def weights(self) -> str:
        """``random`` or ``checkpoint``."""

    def check(self, plan: CropPlan) -> None:
        """Raise EncoderMismatch if the plan is not one this encoder can run."""

    def prepare(self, picture: Picture, plan: CropPlan) -> Callable[[], MeasuredPass]:
        """Put the crops on the device; what comes back runs and times one pass."""

    def stage(self, picture: Picture, plan: CropPlan) -> Staged:
        """Everything that can be done without the device; from any thread, several at once."""

    def encode(self, batch: Sequence[Staged]) -> list[EncodedTokens]:
        """One pass over what ``stage`` made: the tokens of each, in order, once they are there.

        Raises:
            OutOfDeviceMemory: the pass did not fit; the encoder can still be used.
        """

    def saved_profile(self) -> Profile | None:
        """The profile of an earlier start, if it was measured under the same conditions."""

    def profile(
        self, resume: Profile | None, run: Callable[[Callable[[], object]], object]
    ) -> Iterator[Profile]:
        """Measure a profile, giving every pass to ``run``; saves and yields it as it grows."""

    @property
    def profile_counts(self) -> int:
        """How many counts of crops a complete profile has."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Time a measured request spent before its passes, in ms."""

    queue_ms: float
    preprocess_ms: float


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """A moment's state, for /readyz."""

    state: EncoderState
    worker: WorkerState
    reason: str | None
    profile: ProfileState
    profiled: int
    to_profile: int


class EncoderService:
    """Owns the worker thread and everything that runs on it.

    Args:
        load: makes the encoder; called in the worker's thread, so importing torch and making
            weights hold nobody up. None: no encoder.
        profile_on_start: whether to measure a profile in the background.
        worker: the thread that owns the device.
    """

    def __init__(
        self,
        load: Callable[[], ServedEncoder] | None,
        *,
        profile_on_start: bool,
        worker: DeviceWorker,
    ) -> None:
        self._load = load
        self._worker = worker
        self._profile_on_start = profile_on_start
        self._encoder: ServedEncoder | None = None
        self._profile: Profile | None = None
        self._state: EncoderState = "off" if load is None else "loading"
        self._profile_state: ProfileState = "off"
        self._reason: str | None = None
        self._background = threading.Thread(target=self._prepare, name="profiler", daemon=True)

    def start(self) -> None:
        """Begin to load, and then to profile, without waiting for either."""
        if self._load is None:
            return
        if self._profile_on_start:
            self._profile_state = "waiting"
        self._worker.start()
        self._background.start()

    def stop(self) -> None:
        """Start nothing new on the device and fail what waits for it."""
        self._worker.stop()

    @property
    def profile(self) -> Profile | None:
        """The profile in use; it grows while it is being measured."""
        return self._profile

    def status(self) -> EncoderStatus:
        encoder = self._encoder
        return EncoderStatus(
            state=self._state,
            worker=self._worker.state,
            reason=self._reason,
            profile=self._profile_state,
            profiled=len(self._profile.entries) if self._profile else 0,
            to_profile=encoder.profile_counts if encoder else 0,
        )

    def from_profile(self, plan: CropPlan) -> Latency:
        """The plan's latency by the profile, at once."""
        return latency_from_profile(self._profile, plan, self._why_no_profile())

    async def measure(
        self,
        load: Callable[[], Picture],
        plan: CropPlan,
        *,
        repeats: int,
        timeout_s: float,
    ) -> tuple[Latency, Preparation]:
        """Run a picture's own crops now, ``repeats`` times after a warm-up.

        ``load`` decodes it, in the worker's thread when its turn has come: pictures that wait would
        fill the memory.

        Raises:
            EncoderUnavailable: off, loading, failed or dead.
            EncoderMismatch: the loaded encoder cannot run the plan.
            QueueFull: too many measurements wait.
            DeadlineExceeded: not done in ``timeout_s``.
        """
        encoder = self.ready_encoder()
        encoder.check(plan)
        submitted = time.monotonic()
        deadline = submitted + timeout_s

        def work() -> tuple[Latency, Preparation]:
            queue_ms = (time.monotonic() - submitted) * 1e3
            latency, preprocess_ms = run_passes(
                encoder,
                load,
                plan,
                repeats=repeats,
                deadline=deadline,
                before_pass=self._worker.beat,
            )
            return latency, Preparation(queue_ms, preprocess_ms)

        future = asyncio.wrap_future(self._worker.submit(work, deadline=deadline))
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the measurement was not done in {timeout_s:g} s", limit=timeout_s
            ) from None

    def ready_encoder(self) -> ServedEncoder:
        """The encoder, once it is loaded.

        Raises:
            EncoderUnavailable: off, loading or failed.
        """
        if self._encoder is None:
            raise EncoderUnavailable(self._why_no_encoder(), state=self._state)
        return self._encoder

    def _why_no_encoder(self) -> str:
        if self._state == "off":
            return "the service runs without an encoder"
        if self._state == "failed":
            return f"the encoder could not be loaded: {self._reason}"
        return "the encoder is still being loaded"

    def _why_no_profile(self) -> str:
        if self._encoder is None:
            return self._why_no_encoder()
        if self._profile_state == "off":
            return "no profile was measured for this device, and none is being measured"
        if self._profile_state == "failed":
            return "the profile could not be measured; see the log"
        return "the profile is being measured"

    def _prepare(self) -> None:
        """Load, then profile. In a thread of its own: it only waits for the worker."""
        encoder = self._load_encoder()
        if encoder is None:
            return
        try:
            self._profile = encoder.saved_profile()
            if self._profile is not None:
                enough = len(self._profile.entries) >= encoder.profile_counts
                self._profile_state = "complete" if enough else "partial"
                log.info("using a saved profile of %d counts", len(self._profile.entries))
            if self._profile_on_start and self._profile_state != "complete":
                self._measure_profile(encoder)
        except Exception as error:
            if self._worker.state != "stopped":
                self._profile_state = "failed"
                log.exception("the profile could not be measured: %s", error)

    def _load_encoder(self) -> ServedEncoder | None:
        assert self._load is not None
        started = time.monotonic()
        try:
            encoder = self._worker.submit(self._load, background=True, patient=True).result()
        except Exception as error:
            self._state, self._profile_state = "failed", "off"
            self._reason = error.detail if isinstance(error, CropPlannerError) else repr(error)
            log.exception("the encoder could not be loaded")
            return None
        self._encoder, self._state = encoder, "ready"
        log.info(
            "encoder ready in %.1f s: %s, %s, %s, weights: %s",
            time.monotonic() - started,
            encoder.model,
            encoder.device,
            encoder.dtype,
            encoder.weights,
        )
        return encoder

    def _measure_profile(self, encoder: ServedEncoder) -> None:
        def run(work: Callable[[], T]) -> T:
            return self._worker.submit(work, background=True).result()

        self._profile_state = "measuring"
        for profile in encoder.profile(self._profile, run):
            self._profile = profile
            if profile.entries:
                last = profile.entries[-1]
                log.info(
                    "profiled %d of %d counts: %d crops in all take %.1f ms (p50)",
                    len(profile.entries),
                    encoder.profile_counts,
                    last.total_crops,
                    last.vision_ms.p50,
                )
        complete = self._profile is not None and self._profile.complete
        self._profile_state = "complete" if complete else "partial"
        log.info("the profile is %s", self._profile_state)


def run_passes(
    encoder: ServedEncoder,
    load: Callable[[], Picture],
    plan: CropPlan,
    *,
    repeats: int,
    deadline: float,
    before_pass: Callable[[], None] = lambda: None,
) -> tuple[Latency, float]:
    """Time ``repeats`` passes over a picture's crops after ``WARMUP``, in the calling thread.

    Args:
        load: decodes the picture, which is kept no longer than it takes to prepare it.
        deadline: ``time.monotonic()`` after which no further pass starts.

    Returns:
        The latency, and the ms that preparing the crops took.

    Raises:
        DeadlineExceeded: the deadline came first.
    """
    picture = load()
    decoded = time.monotonic()
    run_pass = encoder.prepare(picture, plan)
    del picture
    preprocess_ms = (time.monotonic() - decoded) * 1e3
    passes: list[MeasuredPass] = []
    for number in range(WARMUP + repeats):
        before_pass()
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"{number} of {WARMUP + repeats} passes were done by the deadline",
                limit=WARMUP + repeats,
                actual=number,
            )
        passes.append(run_pass())
    return _measured(encoder, passes[WARMUP:]), preprocess_ms


def _measured(encoder: ServedEncoder, passes: list[MeasuredPass]) -> Latency:
    vit = Percentiles.of([p.vit_ms for p in passes])
    connector = Percentiles.of([p.connector_ms for p in passes])
    return Latency(
        source="measured",
        reason=f"measured just now over this image's own crops, {len(passes)} times",
        device=encoder.device,
        dtype=encoder.dtype,
        runtime=encoder.runtime,
        weights=encoder.weights,
        vision=VisionLatency(Percentiles.of([p.vision_ms for p in passes]), vit.p50, connector.p50),
    )
