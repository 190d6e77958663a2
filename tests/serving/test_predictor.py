"""What answers predict from: equal until something changes, corrected by live measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fakes import FakeEncoder, fake_profile
from support.profiles import profile

from app.core.latency.latency import (
    FEWEST_TO_CORRECT,
    MAX_AGE_S,
    Distribution,
    Latency,
    VisionLatency,
)
from app.core.latency.predictions import Predictions
from app.core.latency.profile import Profile
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.serving.latency.device_profile import Predictor

PLAN = make_plan(Size(300, 300), make_config(family_named(DEFAULT_FAMILY)))
"""Two crops in all: 20.5 ms by a fake profile."""
OWN = fake_profile(3)
ENCODER = FakeEncoder()


class Clock:
    """Seconds that pass when they are told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ask(predictor: Predictor, measured: Profile | None = OWN, encoder=ENCODER) -> Predictions:
    return predictor.now(measured, encoder, "there is none")


def live(ms: float, **conditions) -> Latency:
    vision = VisionLatency(Distribution.of([ms]), 0.9 * ms, 0.1 * ms)
    here = {"device": "fake", "dtype": "float32", "runtime": "eager", **conditions}
    return Latency("measured", "just now", vision=vision, **here)


def note(predictor: Predictor, *ms: float, **conditions) -> None:
    for one in ms:
        predictor.note(live(one, **conditions), PLAN, ask(predictor))


def test_it_is_equal_until_something_changes(clock):
    """And its model is made once for each profile."""
    predictor = Predictor(None, clock)
    seen = []
    for measured, encoder, missing in (
        (None, None, "still loading"),
        (None, ENCODER, "being measured"),
        (fake_profile(1), ENCODER, ""),
        (OWN, ENCODER, ""),
    ):
        seen.append(predictor.now(measured, encoder, missing))
        again = predictor.now(measured, encoder, missing)
        assert again == seen[-1]
        assert again.model is seen[-1].model
    note(predictor, 41.0)
    seen.append(ask(predictor))
    assert all(one not in seen[:place] for place, one in enumerate(seen))
    clock.now_s = MAX_AGE_S + 1
    assert ask(predictor) == seen[-2], "what was measured is forgotten"


def test_without_a_profile_it_says_why(clock):
    latency = ask(Predictor(None, clock), measured=None).latency(PLAN)
    assert (latency.source, latency.reason, latency.this_device) == ("none", "there is none", None)


def test_drift_corrects_from_several_measurements_on(clock):
    """Their median multiplies every prediction, and each is against the profile alone."""
    predictor = Predictor(None, clock)
    for number in range(1, 8):
        note(predictor, 41.0)
        predictions = ask(predictor)
        assert (predictions.drift.ratio, predictions.drift.measurements) == (2.0, number)
        expected = 41.0 if number >= FEWEST_TO_CORRECT else 20.5
        assert predictions.latency(PLAN).at(50) == expected


def test_another_profile_begins_without_drift(clock):
    predictor = Predictor(None, clock)
    note(predictor, 41.0, 41.0, 41.0)
    assert ask(predictor).drift.factor == 2.0
    newer = replace(OWN, measured_at="2026-01-01T00:00:00+00:00")
    assert ask(predictor, newer).drift.measurements == 0
    before = ask(predictor, newer)
    ask(predictor, OWN)
    predictor.note(live(41.0), PLAN, before)
    assert ask(predictor, OWN).drift.measurements == 0, "that was against the other profile"


@pytest.mark.parametrize("other", [{"device": "B"}, {"dtype": "bfloat16"}, {"runtime": "packed"}])
def test_only_the_same_conditions_show_drift(clock, other):
    predictor = Predictor(None, clock)
    note(predictor, 41.0, 41.0, 41.0, **other)
    assert ask(predictor).drift.measurements == 0


def test_what_the_profile_does_not_predict_shows_no_drift(clock):
    predictor = Predictor(None, clock)
    large = make_plan(Size(3000, 3000), PLAN.config)
    predictor.note(live(100.0), large, ask(predictor))
    predictor.note(live(100.0), PLAN, ask(predictor, measured=None))
    assert ask(predictor).drift.measurements == 0


def test_a_given_profile_wins_and_says_that_it_is_of_another_device(clock):
    """In every answer, and what is measured here neither replaces nor corrects it."""
    given = replace(fake_profile(3), device="a GPU", runtime="cuda-graphs")
    predictor = Predictor(given, clock)
    note(predictor, 41.0, 41.0, 41.0)
    predictions = ask(predictor)
    assert predictions.profile is given
    assert predictions.this_device is False
    latency = predictions.latency(PLAN)
    assert (latency.at(50), latency.device, latency.this_device) == (20.5, "a GPU", False)
    assert "not this device" in latency.reason
    refused = predictions.latency(make_plan(Size(3000, 3000), PLAN.config))
    assert "not this device" in refused.reason


def test_a_given_profile_without_an_encoder_cannot_be_compared(clock):
    given = fake_profile(3)
    predictions = ask(Predictor(given, clock), measured=None, encoder=None)
    assert predictions.this_device is None
    assert "no encoder is loaded here to compare with" in predictions.latency(PLAN).reason


def test_a_given_profile_of_this_device_is_like_its_own(clock):
    """It is corrected by what is measured here, and nothing needs to be said."""
    given = fake_profile(3)
    predictor = Predictor(given, clock)
    note(predictor, 41.0, 41.0, 41.0)
    latency = ask(predictor, measured=profile()).latency(PLAN)
    assert (latency.at(50), latency.this_device) == (41.0, True)
    assert "device" not in latency.reason
