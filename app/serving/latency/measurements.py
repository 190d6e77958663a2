"""The measurements of the profile: one at a time, and the last few to be asked after."""

from __future__ import annotations

import threading

from app.core.errors import MeasurementRunning, UnknownMeasurement
from app.serving.device.protocol import MeasurementRequest
from app.serving.latency.measurement import Measurement, MeasurementState

KEPT = 8
"""Measurements that can be asked after, the running one included."""


class Measurements:
    """By id, oldest first. Calls may come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, Measurement] = {}

    @property
    def running(self) -> MeasurementState | None:
        """The measurement that is under way, of which there is at most one."""
        with self._lock:
            return self._running()

    def add(self, request: MeasurementRequest) -> Measurement:
        """A new measurement, which counts as running from now on; the oldest is forgotten.

        Raises:
            MeasurementRunning: another one runs; its ``id`` is told.
        """
        with self._lock:
            other = self._running()
            if other is not None:
                raise MeasurementRunning(
                    f"measurement {other.id} is running; wait for it, or cancel it", id=other.id
                )
            while len(self._by_id) >= KEPT:
                del self._by_id[next(iter(self._by_id))]
            measurement = Measurement(request)
            self._by_id[measurement.state.id] = measurement
        return measurement

    def find(self, measurement_id: str) -> Measurement:
        """One of the last.

        Raises:
            UnknownMeasurement: there is none of that id, or no longer.
        """
        found = self._by_id.get(measurement_id)
        if found is None:
            raise UnknownMeasurement(
                f"there is no measurement {measurement_id}, or no longer", actual=measurement_id
            )
        return found

    def _running(self) -> MeasurementState | None:
        return next((one.state for one in self._by_id.values() if one.running), None)
