"""Own the device's profile, measure it in the background, and predict latencies by a profile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from app.core.errors import EncoderError, EncoderUnavailable
from app.core.latency.latency import Drift, Latency
from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions
from app.core.latency.profile import Profile, merged
from app.core.latency.status import Failure, MeasurementRequest, MeasurementState, ProfileState
from app.core.plan.plan import CropPlan
from app.encoder.measuring.pacing import Hooks
from app.serving.device.worker import DeviceWorker
from app.serving.latency.measurements import Measurement, Measurements

if TYPE_CHECKING:
    from app.serving.device.served_encoder import ServedEncoder

T = TypeVar("T")

log = logging.getLogger(__name__)


class DeviceProfile:
    """Hold the profile of this device, and measure it at the start and on request.

    Every pass of a measurement is a background job of its own: requests run between two passes.

    Args:
        worker: the owner of the device.

    Attributes:
        measurements: shows and cancels the last measurements.
        profile: the device's own profile; it grows with the measurement of the start.
        state: the state of ``profile``.
    """

    def __init__(self, worker: DeviceWorker) -> None:
        self._worker = worker
        self.measurements = Measurements()
        self.profile: Profile | None = None
        self.state: ProfileState = "off"

    @property
    def whole_profile(self) -> Profile | None:
        """Return the profile if it has every count of the start, else None."""
        return self.profile if self.state == "complete" else None

    def progress(self, encoder: ServedEncoder) -> tuple[int, int]:
        """Return how many of the profile's counts are measured, and how many there are."""
        return len(_wanted(encoder) & _found(self.profile)), encoder.profile_counts

    def why_none(self) -> str:
        """Explain the absence of a profile."""
        if self.state in ("off", "partial") and self.measurements.running is None:
            return "no profile was measured for this device, and none is being measured"
        if self.state == "failed":
            return "the profile could not be measured; see the log"
        return "the profile is being measured"

    def expect(self) -> None:
        """Announce a measurement after the encoder is loaded."""
        self.state = "waiting"

    def give_up(self) -> None:
        """Withdraw the announcement: there will be no encoder."""
        self.state = "off"

    def begin(self, encoder: ServedEncoder, *, measure: bool) -> Callable[[], None]:
        """Use the saved profile, and prepare the measurement of missing counts.

        Returns:
            A function to measure in the calling thread. The measurement counts as running from now
            on, and no other can come before it.
        """
        try:
            saved = encoder.saved_profile()
        except Exception:
            log.exception("the saved profile could not be read")
            self.state = "failed"
            return lambda: None
        if saved is not None:
            log.info("using a saved profile of %d counts", len(saved.entries))
            self.profile = saved
            self.state = "complete" if _is_whole(encoder, saved) else "partial"
        if not measure or self.state == "complete":
            return lambda: None
        wanted = MeasurementRequest(tuple(sorted(_wanted(encoder))), encoder.dtype)
        measurement = self.measurements.add(wanted)
        self.state = "measuring"
        return partial(self._carry_out, encoder, measurement, self._complete)

    def start(
        self,
        encoder: ServedEncoder,
        *,
        counts: Sequence[int] | None = None,
        dtype: str | None = None,
        repeats: int | None = None,
        full: bool = False,
    ) -> MeasurementState:
        """Start a measurement in a thread of its own. None stands for the values of the start.

        Raises:
            EncoderUnavailable: the worker is dead or stopped.
            MeasurementRunning: another measurement runs, such as the one of the start.
        """
        if self._worker.state in ("dead", "stopped"):
            raise EncoderUnavailable(
                "the encoder's worker is not running", state=self._worker.state
            )
        rising = tuple(sorted(set(counts or _wanted(encoder))))
        request = MeasurementRequest(rising, dtype or encoder.dtype, repeats, full)
        measurement = self.measurements.add(request)
        work = partial(self._carry_out, encoder, measurement, self._renew)
        threading.Thread(target=work, name="measurement", daemon=True).start()
        return measurement.state

    def _carry_out(
        self,
        encoder: ServedEncoder,
        measurement: Measurement,
        work: Callable[[ServedEncoder, Measurement], None],
    ) -> None:
        failure: Failure | None = None
        try:
            with suppress(CancelledError):  # cancelled before its work had begun
                work(encoder, measurement)
        except Exception as error:
            failure = Failure.of(error)
            if self._worker.state != "stopped":
                log.exception("measurement %s failed", measurement.state.id)
        measurement.end(failure)
        if measurement.state.request.dtype != encoder.dtype:
            # The second encoder lost its last reference just now. The worker gives the memory back:
            # it holds the last job, and so the encoder, until its next one.
            with suppress(EncoderUnavailable):
                self._worker.submit(encoder.give_memory_back, background=True)
        log.info("measurement %s: %s", measurement.state.id, measurement.state.status)

    def _complete(self, encoder: ServedEncoder, measurement: Measurement) -> None:
        """Measure at the start: the growing profile is in use and saved."""
        try:
            for profile in self._passes(encoder, measurement, resume=self.profile):
                self.profile = profile
                encoder.save_profile(profile)
        except Exception:
            self.state = "failed"
            raise
        self._judge(encoder)

    def _renew(self, encoder: ServedEncoder, measurement: Measurement) -> None:
        """Measure on request: the finished profile is saved and taken into use."""
        dtype, in_use = measurement.state.request.dtype, encoder
        if dtype == in_use.dtype:
            older = self.profile
        else:
            loading = self._worker.submit(
                partial(in_use.in_dtype, dtype), background=True, patient=True
            )
            encoder = measurement.result_of(loading)
            older = encoder.saved_profile()
        for _ in self._passes(encoder, measurement, resume=None):
            pass  # the measurement itself shows the profile
        if measurement.cut_short:
            return
        measured = measurement.state.profile
        if measured is None:
            raise EncoderError("no count was measured: none fits the memory, or time was up")
        whole = merged(older, measured)
        encoder.save_profile(whole)
        if encoder is in_use:
            self.profile = whole
            self._judge(encoder)

    def _passes(
        self, encoder: ServedEncoder, measurement: Measurement, resume: Profile | None
    ) -> Iterator[Profile]:
        """Yield the growing profile up to its end, or up to the cancelling."""

        def run(work: Callable[[], T], /) -> T:
            return measurement.result_of(self._worker.submit(work, background=True))

        hooks = Hooks(run, measurement.tell, measurement.is_cancelled)
        with suppress(CancelledError):
            for profile in encoder.profile(measurement.state.request, hooks, resume):
                if profile.entries:  # an empty profile must not replace a better one
                    measurement.grow(profile)
                    yield profile

    def _judge(self, encoder: ServedEncoder) -> None:
        """Set the state at the end of a measurement."""
        self.state = "complete" if _is_whole(encoder, self.profile) else "partial"
        log.info("the profile is %s", self.state)


def _wanted(encoder: ServedEncoder) -> set[int]:
    return set(range(1, encoder.profile_counts + 1))


def _found(profile: Profile | None) -> set[int]:
    return {entry.total_crops for entry in profile.entries} if profile else set()


def _is_whole(encoder: ServedEncoder, profile: Profile | None) -> bool:
    """Return True if a profile is complete and has every count of the start."""
    return profile is not None and profile.complete and _wanted(encoder) <= _found(profile)


class Predictor:
    """Hold the model of the profile in use and its drift, for calls from any thread.

    Args:
        given: a profile given by the user; None takes the profile of this device.
        clock: returns rising seconds.
    """

    def __init__(self, given: Profile | None, clock: Callable[[], float]) -> None:
        self.given = given
        self._clock = clock
        self._lock = threading.Lock()
        self._drift = Drift()
        self._model = LatencyModel(given) if given else None

    def now(
        self, measured: Profile | None, encoder: ServedEncoder | None, missing: str
    ) -> Predictions:
        """Return the predictions at this moment.

        Args:
            measured: the profile of this device so far.
            encoder: the encoder loaded here.
            missing: the reason for the absence of a profile.
        """
        with self._lock:
            self._use(self.given or measured)
            if self._model is None:
                return Predictions(None, missing)
            here, provenance = self._where(encoder)
            drift = self._drift.at(self._clock())
            return Predictions(self._model, "", drift, here, provenance)

    def note(self, measured: Latency, plan: CropPlan, predictions: Predictions) -> None:
        """Note the ratio of a live latency to the prediction of the profile alone.

        A latency of another device, dtype or runtime than the profile's is ignored.
        """
        if predictions.model is None or measured.vision is None:
            return
        predicted = predictions.model.latency(plan)
        if predicted.vision is None or _conditions(predicted) != _conditions(measured):
            return
        ratio = measured.vision.vision_ms.p50 / predicted.vision.vision_ms.p50
        log.info("measured %.3f times as long as the profile predicts", ratio)
        with self._lock:
            if predictions.model is self._model:
                self._drift = self._drift.noted(ratio, self._clock())

    def _use(self, profile: Profile | None) -> None:
        """Make the model of a new profile, and forget the drift of the old one."""
        if profile is not (self._model.profile if self._model else None):
            self._drift = Drift()
            self._model = LatencyModel(profile) if profile else None

    def _where(self, encoder: ServedEncoder | None) -> tuple[bool | None, str]:
        """Return True if a given profile is of the encoder here, and a remark about its origin."""
        given = self.given
        if given is None:
            return (True, "") if encoder else (None, "")
        told = f"{given.device} ({given.dtype}, {given.runtime})"
        if encoder is None:
            return None, f"the profile given, of {told}; no encoder is loaded here to compare with"
        if _conditions(given) == _conditions(encoder):
            return True, ""
        here = f"{encoder.device} ({encoder.dtype}, {encoder.runtime})"
        return False, f"not this device: the profile given is of {told}, the encoder here on {here}"


def _conditions(of: Latency | Profile | ServedEncoder) -> tuple[str | None, str | None, str | None]:
    return of.device, of.dtype, of.runtime
