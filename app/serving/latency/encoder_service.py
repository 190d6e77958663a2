"""The encoder in the service: loaded and profiled behind the answers, measured on request."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.core.errors import CropPlannerError, DeadlineExceeded, EncoderUnavailable
from app.core.latency.latency import Latency
from app.core.latency.predictions import Predictions
from app.core.latency.profile import Profile
from app.core.plan.plan import CropPlan
from app.serving.device.protocol import ServedEncoder
from app.serving.device.worker import DeviceWorker, WorkerState
from app.serving.latency.device_profile import ProfileState, Profiling
from app.serving.latency.measurement import MeasurementState
from app.serving.latency.on_request import Preparation, run_passes
from app.serving.latency.predictor import Predictor

if TYPE_CHECKING:
    from app.imaging.read.decode import Picture

EncoderState = Literal["off", "loading", "ready", "failed"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """A moment's state, for /readyz.

    ``reason`` is why the encoder could not be loaded, why its worker died, or why it is not the
    encoder that was hoped for; ``measurement`` is the one that is under way.
    """

    state: EncoderState
    worker: WorkerState
    reason: str | None
    profile: ProfileState
    profiled: int
    to_profile: int
    measurement: MeasurementState | None


class EncoderService:
    """Owns the worker thread and everything that runs on it.

    Args:
        load: makes the encoder; called in the worker's thread, so importing torch and making
            weights hold nobody up. None: no encoder.
        profile_on_start: whether to measure a profile in the background.
        worker: the thread that owns the device.
        given_profile: answers predict by this one; what is measured here is saved, not used.
        clock: seconds, for the age of live measurements.
    """

    def __init__(
        self,
        load: Callable[[], ServedEncoder] | None,
        *,
        profile_on_start: bool,
        worker: DeviceWorker,
        given_profile: Profile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._worker = worker
        self._profile_on_start = profile_on_start
        self._encoder: ServedEncoder | None = None
        self._state: EncoderState = "off" if load is None else "loading"
        self._reason: str | None = None
        self.profiling = Profiling(worker)
        self._profile_is_given = given_profile is not None
        self._predictor = Predictor(given_profile, clock)
        self._background = threading.Thread(target=self._prepare, name="profiler", daemon=True)

    def start(self) -> None:
        """Begin to load, and then to profile, without waiting for either."""
        if self._load is None:
            return
        if self._profile_on_start:
            self.profiling.expect()
        self._worker.start()
        self._background.start()

    def stop(self) -> None:
        """Start nothing new on the device and fail what waits for it."""
        self._worker.stop()

    @property
    def profile(self) -> Profile | None:
        """The profile in use; one that is measured at the start grows meanwhile."""
        return self.predictions().profile

    @property
    def revision(self) -> int:
        """That of :meth:`predictions`: rises whenever they change."""
        return self.predictions().revision

    def predictions(self) -> Predictions:
        """What latencies are predicted from at this moment: the same value until it changes.

        What is to hold together, such as a table, or an answer kept by its revision, is made of one
        of these.
        """
        return self._predictor.now(self.profiling.profile, self._encoder, self._why_no_profile())

    @property
    def is_profiling(self) -> bool:
        """Whether predictions are by a profile that is still to come, or not whole yet."""
        coming = self._state == "loading" or self.profiling.state in ("waiting", "measuring")
        return coming and not self._profile_is_given

    def status(self) -> EncoderStatus:
        profiled, to_profile = self.profiling.progress(self._encoder) if self._encoder else (0, 0)
        return EncoderStatus(
            state=self._state,
            worker=self._worker.state,
            reason=self._worker.reason or self._reason,
            profile=self.profiling.state,
            profiled=profiled,
            to_profile=to_profile,
            measurement=self.profiling.running,
        )

    def from_profile(self, plan: CropPlan) -> Latency:
        """The plan's latency by the profile in use, at once."""
        return self.predictions().latency(plan)

    async def measure(
        self,
        load: Callable[[], Picture],
        plan: CropPlan,
        *,
        repeats: int,
        timeout_s: float,
    ) -> tuple[Latency, Preparation]:
        """Run a picture's own crops now, ``repeats`` times after a warm-up.

        What it takes is held against the profile in use, whose drift it shows. If the caller is
        cancelled, no further pass starts, and none at all if it waits yet.

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
        abandoned = threading.Event()

        def before_pass() -> None:
            self._worker.beat()
            if abandoned.is_set():
                raise CancelledError

        def work() -> tuple[Latency, Preparation]:
            return run_passes(
                encoder,
                load,
                plan,
                repeats=repeats,
                deadline=deadline,
                queue_ms=(time.monotonic() - submitted) * 1e3,
                before_pass=before_pass,
            )

        future = asyncio.wrap_future(self._worker.submit(work, deadline=deadline))
        try:
            latency, spent = await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the measurement was not done in {timeout_s:g} s", limit=timeout_s
            ) from None
        finally:
            abandoned.set()
        self._predictor.note(latency, plan, self.predictions())
        return latency, spent

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
        return self.profiling.why_none()

    def _prepare(self) -> None:
        """Load, then profile. In a thread of its own: it only waits for the worker."""
        encoder = self._load_encoder()
        if encoder is None:
            self.profiling.give_up()
            return
        # Begun before the encoder is there for others, so that no other measurement comes first.
        measure_what_is_missing = self.profiling.begin(encoder, measure=self._profile_on_start)
        self._encoder, self._state, self._reason = encoder, "ready", encoder.note
        measure_what_is_missing()

    def _load_encoder(self) -> ServedEncoder | None:
        assert self._load is not None
        started = time.monotonic()
        try:
            encoder = self._worker.submit(self._load, background=True, patient=True).result()
        except Exception as error:
            self._state = "failed"
            self._reason = error.detail if isinstance(error, CropPlannerError) else repr(error)
            log.exception("the encoder could not be loaded")
            return None
        log.info(
            "encoder ready in %.1f s: %s, %s, %s, weights: %s",
            time.monotonic() - started,
            encoder.model,
            encoder.device,
            encoder.dtype,
            encoder.weights,
        )
        return encoder
