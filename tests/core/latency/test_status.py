"""The state of a measurement: 1 is only what is done, and a warm-up has no times to show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.errors import OutOfDeviceMemory
from app.core.latency.status import Failure, MeasurementRequest, MeasurementState, Progress

STATE = MeasurementState("id", MeasurementRequest((1, 2), "float32"), "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, 0.0), (0.5, 0.5), (0.999, 0.999), (0.9999, 0.999), (1.0, 0.999)]
)
def test_progress_is_below_one_until_it_is_done(share: float, shown: float) -> None:
    """Whatever the time says; also what failed or was cancelled never was at 1."""
    last = Progress(share, "rounds", 2, 20.0)
    for status in ("running", "failed", "cancelled"):
        assert replace(STATE, last=last, status=status).progress == shown
    assert replace(STATE, last=last, status="done").progress == 1.0
    assert STATE.progress == 0.0


def test_a_warm_up_has_no_time() -> None:
    """Its passes are not those of the profile."""
    warming = replace(STATE, last=Progress(0.1, "warm-up", 2, 90.0))
    assert (warming.phase, warming.total_crops, warming.last_ms) == ("warm-up", 2, None)
    assert replace(STATE, last=Progress(0.2, "rounds", 2, 20.0)).last_ms == 20.0
    assert (STATE.phase, STATE.total_crops, STATE.last_ms) == (None, None, None)


def test_an_error_that_was_not_foreseen_tells_nothing() -> None:
    """Its words are for the log; ours are for whoever asked."""
    ours = Failure.of(OutOfDeviceMemory("needs 9 MB"))
    assert (ours.slug, ours.detail) == ("out-of-device-memory", "needs 9 MB")
    assert Failure.of(RuntimeError("secret")).slug == "internal-error"
    assert "secret" not in Failure.of(RuntimeError("secret")).detail
