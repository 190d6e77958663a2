"""An encoder and a profile of a device that is not there."""

import threading
from collections.abc import Callable
from dataclasses import replace

from support.profiles import entry, profile

from app.core.errors import EncoderMismatch
from app.core.profile import Profile
from app.serving.encoder import MeasuredPass


def fake_profile(counts: int, complete: bool = True) -> Profile:
    """1 to ``counts`` crops in all, at medians of 10 ms a crop and half a ms."""
    entries = (entry(min(1, n - 1), n - 1, 10.0 * n - 0.5) for n in range(1, counts + 1))
    return replace(profile(*entries), device="fake", complete=complete)


class FakeEncoder:
    """Takes 10 ms a crop on paper; ``gate`` holds its passes up until it is set."""

    model, device, dtype = "molmo-7b-d-0924", "fake", "float32"
    runtime, weights = "eager", "random"
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
