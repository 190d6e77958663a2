"""Hold the predictions for all answers, and correct them by live latencies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from app.core.latency.drift import Drift
from app.core.latency.latency import Latency
from app.core.latency.model import LatencyModel
from app.core.latency.predictions import Predictions
from app.core.latency.profile import Profile
from app.core.plan.plan import CropPlan
from app.serving.device.protocol import ServedEncoder

log = logging.getLogger(__name__)


class Predictor:
    """Hold the model of the profile in use and its drift, for calls from any thread.

    Args:
        given: a profile from another place; None takes the profile of this device.
        clock: returns rising seconds.
    """

    def __init__(self, given: Profile | None, clock: Callable[[], float]) -> None:
        self._given = given
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
            self._use(self._given or measured)
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
        """Compare a given profile with the encoder here: True if the same, with a remark."""
        given = self._given
        if given is None:
            return (True, "") if encoder else (None, "")
        told = f"{given.device} ({given.dtype}, {given.runtime})"
        if encoder is None:
            return None, f"the profile given, of {told}; no encoder is loaded here to compare with"
        if (given.device, given.dtype, given.runtime) == _conditions(encoder):
            return True, ""
        here = f"{encoder.device} ({encoder.dtype}, {encoder.runtime})"
        return False, f"not this device: the profile given is of {told}, the encoder here on {here}"


def _conditions(of: Latency | ServedEncoder) -> tuple[str | None, str | None, str | None]:
    return of.device, of.dtype, of.runtime
