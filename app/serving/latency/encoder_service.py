"""Load the encoder in the background, and measure images by it on request."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from statistics import median
from typing import TYPE_CHECKING

from app.core.errors import CropPlannerError, DeadlineExceeded, EncoderUnavailable
from app.core.latency.latency import Distribution, Latency, VisionLatency
from app.core.latency.predictions import Predictions
from app.core.latency.profile import Profile
from app.core.latency.status import EncoderState, EncoderStatus, Preparation
from app.core.plan.plan import CropPlan
from app.serving.device.worker import DeviceWorker
from app.serving.latency.device_profile import DeviceProfile, Predictor

if TYPE_CHECKING:
    from app.encoder.encoder import StageTimes
    from app.imaging.read.decode import Picture
    from app.serving.device.served_encoder import ServedEncoder

WARMUP, DEFAULT_REPEATS = 1, 3
"""A measured image runs this number of uncounted and of counted passes."""

log = logging.getLogger(__name__)


class EncoderService:
    """Load the encoder, and measure by it in the worker's thread.

    Args:
        load: loads the encoder, in the worker's thread: importing torch and making weights take
            long. None leaves the service without an encoder.
        profile_on_start: measure a profile in the background.
        worker: the owner of the device.
        given_profile: the source of all predictions; measured profiles are then saved, and only
            size the passes.
        clock: returns seconds, for the age of live latencies.
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
        self.device_profile = DeviceProfile(worker)
        self._predictor = Predictor(given_profile, clock)
        self._background = threading.Thread(target=self._prepare, name="profiler", daemon=True)

    def start(self) -> None:
        """Start to load and then to measure, and return at once."""
        if self._load is None:
            return
        if self._profile_on_start:
            self.device_profile.expect()
        self._worker.start()
        self._background.start()

    def stop(self) -> None:
        """Start no further work on the device, and fail the waiting work."""
        self._worker.stop()

    def predictions(self) -> Predictions:
        """Return the predictions at this moment; take all latencies of an answer from one value."""
        return self._predictor.now(
            self.device_profile.profile, self._encoder, self._why_no_profile()
        )

    @property
    def profile_is_coming(self) -> bool:
        """Return True if the profile of the predictions is still to come or growing."""
        coming = self._state == "loading" or self.device_profile.state in ("waiting", "measuring")
        return coming and self._predictor.given is None

    def status(self) -> EncoderStatus:
        profiled, to_profile = (
            self.device_profile.progress(self._encoder) if self._encoder else (0, 0)
        )
        return EncoderStatus(
            state=self._state,
            worker=self._worker.state,
            reason=self._worker.reason or self._reason,
            profile=self.device_profile.state,
            profiled=profiled,
            to_profile=to_profile,
            measurement=self.device_profile.measurements.running,
        )

    def from_profile(self, plan: CropPlan) -> Latency:
        """Predict the latency of a plan from the profile in use."""
        return self.predictions().latency(plan)

    async def measure(
        self,
        load: Callable[[], Picture],
        plan: CropPlan,
        *,
        repeats: int,
        timeout_s: float,
    ) -> tuple[Latency, Preparation]:
        """Measure the latency of a picture's own crops now, after a warm-up.

        The result also counts for the drift of the profile in use. Cancelling the caller starts no
        further pass.

        Args:
            load: decodes the picture, in the worker's thread: waiting pictures would fill the
                memory.
            repeats: the number of timed passes.
            timeout_s: the longest time for the whole call.

        Raises:
            EncoderUnavailable: the encoder is off, loading, failed or dead.
            EncoderMismatch: the loaded encoder cannot run the plan.
            QueueFull: too many measurements wait.
            DeadlineExceeded: the measurement was not done in ``timeout_s``.
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
        """Return the loaded encoder.

        Raises:
            EncoderUnavailable: the encoder is off, loading or failed.
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
        return self.device_profile.why_none()

    def _prepare(self) -> None:
        """Load and then measure, in a thread that only waits for the worker."""
        encoder = self._load_encoder()
        if encoder is None:
            self.device_profile.give_up()
            return
        # The measurement begins before others see the encoder, so no other can come first.
        measure_missing = self.device_profile.begin(encoder, measure=self._profile_on_start)
        self._encoder, self._state, self._reason = encoder, "ready", encoder.note
        measure_missing()

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


def run_passes(
    encoder: ServedEncoder,
    load: Callable[[], Picture],
    plan: CropPlan,
    *,
    repeats: int,
    deadline: float,
    queue_ms: float = 0,
    before_pass: Callable[[], None] = lambda: None,
) -> tuple[Latency, Preparation]:
    """Time ``repeats`` passes over a picture's crops after ``WARMUP``, in the calling thread.

    Args:
        load: decodes the picture; its pixels are released after the preparation.
        deadline: ``time.monotonic()`` of the last start of a pass.
        queue_ms: the wait of the request before the call.
        before_pass: called before each pass; its errors end the measurement.

    Returns:
        The latency, and the times before the passes.

    Raises:
        DeadlineExceeded: the deadline came first.
    """
    picture = load()
    decoded = time.monotonic()
    run_pass, transfer_ms = encoder.prepare(picture, plan)
    del picture
    preprocess_ms = (time.monotonic() - decoded) * 1e3
    spent = Preparation(queue_ms, preprocess_ms, transfer_ms)
    passes: list[StageTimes] = []
    for number in range(WARMUP + repeats):
        before_pass()
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"{number} of {WARMUP + repeats} passes were done by the deadline",
                limit=WARMUP + repeats,
                actual=number,
            )
        passes.append(run_pass())
    return _measured(encoder, passes[WARMUP:]), spent


def _measured(encoder: ServedEncoder, passes: list[StageTimes]) -> Latency:
    return Latency(
        source="measured",
        reason=f"measured just now over this image's own crops, {len(passes)} times",
        device=encoder.device,
        dtype=encoder.dtype,
        runtime=encoder.runtime,
        weights=encoder.weights,
        vision=VisionLatency(
            Distribution.of([p.vision_ms for p in passes]),
            vit_ms=median(p.vit_ms for p in passes),
            connector_ms=median(p.connector_ms for p in passes),
        ),
        basis="measured",
        this_device=True,
    )
