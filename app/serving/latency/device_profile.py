"""The device's own profile, and the measurements that make it: in the background, one at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import Literal, TypeVar

from app.core.errors import EncoderError, EncoderUnavailable
from app.core.latency.profile import Profile
from app.core.latency.profile_merge import merged
from app.serving.device.protocol import MeasurementRequest, ServedEncoder
from app.serving.device.worker import DeviceWorker
from app.serving.latency.measurement import Failure, Measurement, MeasurementState
from app.serving.latency.measurements import Measurements

T = TypeVar("T")
ProfileState = Literal["off", "waiting", "measuring", "complete", "partial", "failed"]
Work = Callable[[ServedEncoder, Measurement], None]

log = logging.getLogger(__name__)


class Profiling:
    """Every pass of a measurement is a background job of its own, so requests come in between.

    Args:
        worker: the thread that owns the device.
    """

    def __init__(self, worker: DeviceWorker) -> None:
        self._worker = worker
        self._measurements = Measurements()
        self._profile: Profile | None = None
        self._state: ProfileState = "off"

    @property
    def profile(self) -> Profile | None:
        """The device's own; that of the start grows while it is being measured."""
        return self._profile

    @property
    def whole_profile(self) -> Profile | None:
        """The device's own if it has every count of the start; others say nothing of the best."""
        return self._profile if self._state == "complete" else None

    @property
    def state(self) -> ProfileState:
        """Of the profile in use, not of what else is measured."""
        return self._state

    @property
    def running(self) -> MeasurementState | None:
        """The measurement that is under way."""
        return self._measurements.running

    def progress(self, encoder: ServedEncoder) -> tuple[int, int]:
        """How many of the counts of a complete profile are measured, and how many there are."""
        return len(_wanted(encoder) & _found(self._profile)), encoder.profile_counts

    def why_none(self) -> str:
        """Why there is no profile, or not this part of it."""
        if self._state == "off" and self.running is None:
            return "no profile was measured for this device, and none is being measured"
        if self._state == "failed":
            return "the profile could not be measured; see the log"
        return "the profile is being measured"

    def expect(self) -> None:
        """Say that the profile will be measured once the encoder is loaded."""
        self._state = "waiting"

    def give_up(self) -> None:
        """Say that there will be no encoder to profile."""
        self._state = "off"

    def begin(self, encoder: ServedEncoder, *, measure: bool) -> Callable[[], None]:
        """Use the saved profile; what comes back measures what is missing, in the calling thread.

        The measurement counts as running from here on, so that no other comes before it.
        """
        try:
            saved = encoder.saved_profile()
        except Exception:
            log.exception("the saved profile could not be read")
            self._state = "failed"
            return _nothing
        if saved is not None:
            log.info("using a saved profile of %d counts", len(saved.entries))
            self._profile = saved
            self._state = "complete" if _is_whole(encoder, saved) else "partial"
        if not measure or self._state == "complete":
            return _nothing
        measurement = self._measurements.add(_request(encoder))
        self._state = "measuring"
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
        """Measure in a thread of its own. None: as for the profile measured at the start.

        Raises:
            EncoderUnavailable: the worker is dead or stopped.
            MeasurementRunning: another measurement runs, that of the start included.
        """
        if self._worker.state in ("dead", "stopped"):
            raise EncoderUnavailable(
                "the encoder's worker is not running", state=self._worker.state
            )
        measurement = self._measurements.add(_request(encoder, counts, dtype, repeats, full))
        work = partial(self._carry_out, encoder, measurement, self._renew)
        threading.Thread(target=work, name="measurement", daemon=True).start()
        return measurement.state

    def measurement(self, measurement_id: str) -> MeasurementState:
        """One of the last measurements.

        Raises:
            UnknownMeasurement: there is none of that id, or no longer.
        """
        return self._measurements.find(measurement_id).state

    def cancel(self, measurement_id: str) -> MeasurementState:
        """Stop a measurement before its next pass; what was measured is kept in its answer.

        Raises:
            UnknownMeasurement: as :meth:`measurement` says.
        """
        measurement = self._measurements.find(measurement_id)
        measurement.cancel()
        return measurement.state

    def _carry_out(self, encoder: ServedEncoder, measurement: Measurement, work: Work) -> None:
        failure: Failure | None = None
        try:
            with suppress(CancelledError):  # before what was asked of the device had begun
                work(encoder, measurement)
        except Exception as error:
            failure = Failure.of(error)
            if self._worker.state != "stopped":
                log.exception("measurement %s failed", measurement.state.id)
        measurement.end(failure)
        if measurement.request.dtype != encoder.dtype:
            # Only here are work and error gone, which held a second encoder. In the worker, as that
            # holds its last job until the next.
            with suppress(EncoderUnavailable):
                self._worker.submit(encoder.give_memory_back, background=True)
        log.info("measurement %s: %s", measurement.state.id, measurement.state.status)

    def _complete(self, encoder: ServedEncoder, measurement: Measurement) -> None:
        """The measurement of the start: its profile is in use, and saved, as it grows."""
        try:
            for profile in self._passes(encoder, measurement, resume=self._profile):
                self._profile = profile
                encoder.save_profile(profile)
        except Exception:
            self._state = "failed"
            raise
        self._judge(encoder)

    def _renew(self, encoder: ServedEncoder, measurement: Measurement) -> None:
        """A measurement on request: its profile is saved, and used, once it is done."""
        dtype, in_use = measurement.request.dtype, encoder
        if dtype == in_use.dtype:
            older = self._profile
        else:
            loading = self._worker.submit(
                partial(in_use.in_dtype, dtype), background=True, patient=True
            )
            encoder = measurement.result_of(loading)
            older = encoder.saved_profile()
        for _ in self._passes(encoder, measurement, resume=None):
            pass  # shown by the measurement
        if measurement.cut_short:
            return
        measured = measurement.state.profile
        if measured is None:
            raise EncoderError("no count was measured: none fits the memory, or time was up")
        whole = merged(older, measured)
        encoder.save_profile(whole)
        if encoder is in_use:
            self._profile = whole
            self._judge(encoder)

    def _passes(
        self, encoder: ServedEncoder, measurement: Measurement, resume: Profile | None
    ) -> Iterator[Profile]:
        """The profile as it grows, until it is measured or the measurement is cancelled."""

        def run(work: Callable[[], T], /) -> T:
            return measurement.result_of(self._worker.submit(work, background=True))

        with suppress(CancelledError):
            for profile in encoder.profile(
                measurement.request,
                resume=resume,
                run=run,
                progress=measurement.tell,
                until=measurement.is_cancelled,
            ):
                if profile.entries:  # one of nothing must not take the place of what there is
                    measurement.grow(profile)
                    yield profile

    def _judge(self, encoder: ServedEncoder) -> None:
        """Complete or not, now that nothing is added to the profile."""
        self._state = "complete" if _is_whole(encoder, self._profile) else "partial"
        log.info("the profile is %s", self._state)


def _request(
    encoder: ServedEncoder,
    counts: Sequence[int] | None = None,
    dtype: str | None = None,
    repeats: int | None = None,
    full: bool = False,
) -> MeasurementRequest:
    every = range(1, encoder.profile_counts + 1)
    rising = tuple(sorted(set(counts or every)))
    return MeasurementRequest(rising, dtype or encoder.dtype, repeats, full)


def _wanted(encoder: ServedEncoder) -> set[int]:
    return set(range(1, encoder.profile_counts + 1))


def _found(profile: Profile | None) -> set[int]:
    return {entry.total_crops for entry in profile.entries} if profile else set()


def _is_whole(encoder: ServedEncoder, profile: Profile | None) -> bool:
    """Tell whether a profile was measured to its end, and has every count of the start."""
    return profile is not None and profile.complete and _wanted(encoder) <= _found(profile)


def _nothing() -> None:
    """What is left to measure where nothing is."""
