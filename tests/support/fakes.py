"""An encoder and a profile of a device that is not there."""

import threading
from collections.abc import Callable

from app.core.errors import EncoderMismatch
from app.core.profile import SCHEMA_VERSION, Percentiles, Profile, ProfileEntry
from app.serving.encoder import MeasuredPass


def fake_profile(counts: int, complete: bool = True) -> Profile:
    """10 ms a crop, of a device that is not there."""
    ms = [Percentiles.of([10.0 * n, 10.0 * n + 1]) for n in range(counts + 1)]
    return Profile(
        schema_version=SCHEMA_VERSION,
        model="molmo-7b-d-0924",
        device="fake",
        device_type="cpu",
        dtype="float32",
        weights="random",
        overlap_margins=(4, 4),
        threads=1,
        versions={"python": "3", "torch": "2", "crop_planner": "0"},
        measured_at="2026-01-01T00:00:00+00:00",
        warmup=1,
        matmul_gflop_per_s=100.0,
        complete=complete,
        entries=tuple(
            ProfileEntry(n, min(1, n - 1), n - 1, 144, ms[n], ms[n], ms[n], 1, 1.0, (10.0, 11.0))
            for n in range(1, counts + 1)
        ),
    )


class FakeEncoder:
    """Takes 10 ms a crop on paper; ``gate`` holds its passes up until it is set."""

    model, device, dtype, weights = "molmo-7b-d-0924", "fake", "float32", "random"
    profile_counts = 3

    def __init__(self, saved: Profile | None = None) -> None:
        self.saved = saved
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.passes = 0
        self.failure: BaseException | None = None

    def check(self, plan) -> None:
        if plan.config.family.name != self.model:
            raise EncoderMismatch("another model", actual=plan.config.family.name)

    def prepare(self, picture, plan) -> Callable[[], MeasuredPass]:
        assert (picture.size.width, picture.size.height) == (plan.image.width, plan.image.height)

        def run_pass() -> MeasuredPass:
            self.started.set()
            self.gate.wait(10)
            if self.failure:
                raise self.failure
            self.passes += 1
            return MeasuredPass(10.0 * plan.total_crops, 9.0, 1.0)

        return run_pass

    def saved_profile(self) -> Profile | None:
        return self.saved

    def profile(self, resume, run):
        done = len(resume.entries) if resume else 0
        for counts in range(done + 1, self.profile_counts + 1):
            run(lambda: self.gate.wait(10))
            yield fake_profile(counts, complete=counts == self.profile_counts)
