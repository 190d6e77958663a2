"""An encoder and a profile of a device that is not there."""

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

from support.devices import Done
from support.profiles import entry, profile

from app.core.errors import EncoderMismatch, OutOfDeviceMemory
from app.core.latency.profile import Profile, ProfileEntry


def fake_profile(counts: int, complete: bool = True) -> Profile:
    """1 to ``counts`` crops in all, at medians of 10 ms a crop and half a ms."""
    entries = (fake_entry(count) for count in range(1, counts + 1))
    return replace(profile(*entries), device="fake", complete=complete)


def fake_entry(total_crops: int, ms_per_crop: float = 10.0) -> ProfileEntry:
    """In one row; half a ms more than its crops take is the median."""
    return entry(min(1, total_crops - 1), total_crops - 1, ms_per_crop * total_crops - 0.5)


def fake_tokens(plan):
    """As many tokens as planned, each the width of its image."""
    import torch  # only where tokens are asked for

    from app.encoder.encoder import VisionTokens

    count = plan.tokens.patch
    return VisionTokens(torch.full((count, 4), float(plan.image.width)), torch.arange(count))


class FakeEncoder:
    """Takes 10 ms a crop on paper; ``gate`` holds its passes up until it is set.

    An image of ``poison_px`` width breaks the pass it is in; a pass over more than
    ``memory_crops`` does not fit. ``batches`` are the widths of the images of each pass tried.
    ``others`` are the profiles that ``second``, a fake in another dtype, saved; ``freed`` is
    whether it was gone when its memory was to be given back.
    """

    model, device = "molmo-7b-d-0924", "fake"
    runtime, weights = "eager", "random"
    note: str | None = None
    profile_counts = 3

    def __init__(self, saved: Profile | None = None) -> None:
        self.dtype = "float32"
        self.saved = saved
        self.others: list[Profile] = []
        self.second: weakref.ref[FakeEncoder] | None = None
        self.freed = False
        self.profile_passes = 0
        self.profile_failure: Callable[[], Exception] | None = None
        self.ms_per_crop = 10.0
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.transfer_ms: float | None = None
        self.passes = 0
        self.failure: BaseException | None = None
        self.stage_failure: Exception | None = None
        self.batches: list[list[int]] = []
        self.poison_px: int | None = None
        self.memory_crops = 1000

    def check(self, plan) -> None:
        if plan.config.family.name != self.model:
            raise EncoderMismatch("another model", actual=plan.config.family.name)

    def prepare(self, picture, plan):
        assert (picture.size.width, picture.size.height) == (plan.image.width, plan.image.height)

        def run_pass() -> SimpleNamespace:
            self.started.set()
            self.gate.wait(60)
            if self.failure:
                raise self.failure
            self.passes += 1
            vision_ms = 10.0 * plan.total_crops
            return SimpleNamespace(vision_ms=vision_ms, vit_ms=9.0, connector_ms=1.0)

        return run_pass, self.transfer_ms

    def stage(self, picture, plan) -> SimpleNamespace:
        if self.stage_failure:
            raise self.stage_failure
        return SimpleNamespace(total_crops=plan.total_crops, plan=plan)

    def launch(self, batch) -> Done:
        self.batches.append([staged.plan.image.width for staged in batch])
        self.started.set()
        self.gate.wait(60)
        if self.failure:
            raise self.failure
        if sum(staged.total_crops for staged in batch) > self.memory_crops:
            raise OutOfDeviceMemory("the fake is full")
        if self.poison_px in self.batches[-1]:
            raise ValueError("poison")
        return Done([fake_tokens(staged.plan) for staged in batch])

    def saved_profile(self) -> Profile | None:
        return self.saved

    def save_profile(self, profile: Profile) -> None:
        self.saved = profile

    def in_dtype(self, dtype: str) -> "FakeEncoder":
        other = FakeEncoder()
        other.dtype, other.gate, other.started = dtype, self.gate, self.started
        other.profile_failure, other.ms_per_crop = self.profile_failure, self.ms_per_crop
        other.save_profile = self.others.append
        self.second = weakref.ref(other)
        return other

    def give_memory_back(self) -> None:
        gc.collect()
        self.freed = self.second is not None and self.second() is None

    def profile(self, request, hooks, resume):
        """A pass for each count that is missing, each a profile."""
        entries = {entry.total_crops: entry for entry in resume.entries} if resume else {}
        missing = [count for count in request.counts if count not in entries]
        for number, count in enumerate(missing, 1):
            if hooks.until():
                break
            hooks.run(self._profile_pass)
            entries[count] = fake_entry(count, self.ms_per_crop)
            hooks.progress(SimpleNamespace(
                done=number / len(missing), phase="rounds", total_crops=count, last_ms=10.0 * count,
            ))  # fmt: skip
            yield self._profile_of(request, entries)
        yield self._profile_of(request, entries)

    def _profile_pass(self) -> None:
        self.started.set()
        self.gate.wait(60)
        if self.profile_failure:
            raise self.profile_failure()
        self.profile_passes += 1

    def _profile_of(self, request, entries) -> Profile:
        complete = all(count in entries for count in request.counts)
        rising = [entries[count] for count in sorted(entries)]
        return replace(profile(*rising), device="fake", dtype=self.dtype, complete=complete)
