"""An encoder and a profile of a device that is not there."""

import threading
from collections.abc import Callable
from dataclasses import replace

from support.profiles import entry, profile

from app.core.errors import EncoderMismatch, OutOfDeviceMemory
from app.core.profile import Profile
from app.serving.encoder import EncodedTokens, MeasuredPass, Staged


def fake_profile(counts: int, complete: bool = True) -> Profile:
    """1 to ``counts`` crops in all, at medians of 10 ms a crop and half a ms."""
    entries = (entry(min(1, n - 1), n - 1, 10.0 * n - 0.5) for n in range(1, counts + 1))
    return replace(profile(*entries), device="fake", complete=complete)


def fake_tokens(plan) -> EncodedTokens:
    """As many tokens as planned, each the width of its image."""
    import torch  # only where tokens are asked for

    count = plan.tokens.patch
    return EncodedTokens(torch.full((count, 4), float(plan.image.width)), torch.arange(count))


class FakeEncoder:
    """Takes 10 ms a crop on paper; ``gate`` holds its passes up until it is set.

    An image of ``poison_px`` width breaks the pass it is in; a pass over more than
    ``memory_crops`` does not fit. ``batches`` are the widths of the images of each pass tried.
    """

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
        self.batches: list[list[int]] = []
        self.poison_px: int | None = None
        self.memory_crops = 1000

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

    def stage(self, picture, plan) -> Staged:
        return Staged(plan.total_crops, plan)

    def encode(self, batch) -> list[EncodedTokens]:
        self.batches.append([staged.crops.image.width for staged in batch])
        self.started.set()
        self.gate.wait(10)
        if self.failure:
            raise self.failure
        if sum(staged.total_crops for staged in batch) > self.memory_crops:
            raise OutOfDeviceMemory("the fake is full")
        if self.poison_px in self.batches[-1]:
            raise ValueError("poison")
        return [fake_tokens(staged.crops) for staged in batch]

    def saved_profile(self) -> Profile | None:
        return self.saved

    def profile(self, resume, run):
        done = len(resume.entries) if resume else 0
        for counts in range(done + 1, self.profile_counts + 1):
            run(lambda: self.gate.wait(10))
            yield fake_profile(counts, complete=counts == self.profile_counts)
