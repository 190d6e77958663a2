from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import EncoderError, OutOfDeviceMemory
from app.core.latency.profile import Profile
from app.core.latency.profile_file import profile_from_json, profile_to_json
from app.core.latency.timings import Samples
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import plan_with_grid
from app.core.plan.tokens import count_tokens
from app.encoder.encoder import Encoder
from app.encoder.measuring.measure import ProfileWish, measure_profile
from app.encoder.measuring.pacing import LEAST_ROUNDS, Hooks, Timekeeper, WarmupRule, coarse_to_fine
from app.encoder.measuring.record import profile_key
from app.encoder.measuring.series import Scope, Series
from app.encoder.measuring.states import measure_idle
from app.encoder.synthetic import (
    profile_plans,
    squarest_grid,
    synthetic_crops,
    synthetic_image,
)
from tests.encoder.reference import CPU

T = TypeVar("T")
CUDA = torch.device("cuda", 0)

pytestmark = pytest.mark.usefixtures("quick_calibration")

ONCE = WarmupRule(at_least_s=0, at_most_s=0)
"""One call of each count, to keep tests short."""


class Ticks:
    """A clock that goes on by one second each time it is read."""

    def __init__(self) -> None:
        self.now = -1.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def measured(
    encoder: Encoder,
    counts: Sequence[int],
    rounds: int | None = None,
    warmup: WarmupRule | None = None,
    resume: Profile | None = None,
    *,
    budget_s: float | None = None,
    config: CropConfig | None = None,
    scopes: Sequence[Scope] | None = None,
    **hooks: Any,
) -> Iterator[Profile]:
    wish = ProfileWish(counts, rounds, warmup, budget_s, config, scopes)
    return measure_profile(encoder, wish, Hooks(**hooks), resume)


def last(profiles: Iterator[Profile]) -> Profile:
    return list(profiles)[-1]


def test_grids_are_the_most_nearly_square() -> None:
    """Rows never exceed columns, and a prime has no choice."""
    assert [str(squarest_grid(n)) for n in (1, 2, 4, 6, 7, 8, 9, 12)] == [
        "1x1", "1x2", "2x2", "2x3", "1x7", "2x4", "3x3", "3x4",
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["molmo-7b-d-0924", "molmo2-4b"])
def test_plans_hold_the_tokens_of_their_grid(model: str) -> None:
    """One crop is the global one alone; all others are a grid and the global crop."""
    config = make_config(family_named(model))
    alone, *others = profile_plans(config, [3, 1, 13, 3])
    assert (alone.total_crops, alone.rows, alone.cols) == (1, 0, 0)
    assert alone.patch_tokens == config.crop_tokens**2
    assert [plan.total_crops for plan in others] == [3, 13]
    for plan in others:
        tokens = count_tokens(Grid(plan.rows, plan.cols), config)
        assert plan.patch_tokens == tokens.patch
    with pytest.raises(ValueError, match="start at 1"):
        profile_plans(config, [0])


def test_synthetic_crops_have_the_shape_of_real_ones(tiny_encoder: Encoder) -> None:
    """Same shapes and windows as a plan of that grid, noise instead of pixels."""
    config = make_config(tiny_encoder.family)
    one, several = profile_plans(config, [1, 5])
    prepared = synthetic_crops(several, tiny_encoder.device, tiny_encoder.dtype)
    plan = plan_with_grid(Size(100, 100), Grid(2, 2), config)
    assert prepared.total_crops == plan.total_crops
    assert len(prepared.pool_index) == plan.tokens.patch
    assert prepared.patches.std() == pytest.approx(1, abs=0.05)
    assert tiny_encoder.run(
        synthetic_crops(one, tiny_encoder.device, tiny_encoder.dtype)
    ).tokens.shape == (9, 24)


def test_a_profile_is_warm_before_it_is_timed(tiny_encoder: Encoder) -> None:
    """Every count is called before any round; the first and the last count come first."""
    seen: list[tuple[str, int]] = []
    profiles = measured(
        tiny_encoder, [3, 1, 2], 3, ONCE, progress=lambda p: seen.append((p.phase, p.total_crops))
    )
    profile = last(profiles)
    assert seen[:3] == [("warm-up", 1), ("warm-up", 3), ("warm-up", 2)]
    rounds = [sorted(crops for _, crops in seen[at : at + 3]) for at in (3, 6, 9)]
    assert rounds == [[1, 2, 3]] * 3
    assert {phase for phase, _ in seen[3:]} == {"rounds"}
    assert profile.complete
    assert [entry.warmup.calls for entry in profile.entries] == [1, 1, 1]


def test_a_profile_says_what_was_measured(tiny_encoder: Encoder) -> None:
    """Counts, rates, the machine, and a file that reads back as the same."""
    profile = last(measured(tiny_encoder, [3, 1], rounds=4, warmup=ONCE))
    entry = profile.entry(3)
    assert entry is not None
    assert (entry.rows, entry.cols, entry.vision_ms.samples) == (1, 2, 4)
    assert entry.gflop_per_s == pytest.approx(entry.flops / entry.vision_ms.p50 / 1e6)
    assert len(entry.samples_ms.cpu) == 4
    assert entry.peak_memory_bytes is None or entry.peak_memory_bytes > 10**7
    assert profile.weights == "checkpoint"
    assert profile.runtime == "eager"
    assert profile.matmul_gflop_per_s
    assert profile.copy_gb_per_s
    assert profile.machine_before is not None
    assert profile.machine_after is not None
    assert profile.machine_after.clock_probe_ms
    assert profile_from_json(profile_to_json(profile)) == profile


def test_every_scope_is_timed_in_passes_of_its_own(tiny_encoder: Encoder) -> None:
    """From the decoded image where there is one; no bus is made up where there is none."""
    profile = last(measured(tiny_encoder, [1, 3], 3, ONCE, scopes=("vision", "full")))
    alone, several = profile.entries
    assert alone.full_ms is None
    assert several.full_ms is not None
    assert several.full_ms.samples == several.vision_ms.samples == 3
    assert several.transfer_vision_ms is None


def test_each_piece_of_work_is_one_call_of_the_hook(tiny_encoder: Encoder) -> None:
    """So that a request can come in between two passes."""
    results = []

    def noted(work: Callable[[], T], /) -> T:
        results.append(work())
        return results[-1]

    last(measured(tiny_encoder, [2], 4, ONCE, run=noted))
    assert sum(isinstance(result, Samples) for result in results) == 5
    assert sum(isinstance(result, tuple) for result in results) == 1, "in which memory is seen"


def test_profiles_on_the_way_are_not_complete(tiny_encoder: Encoder) -> None:
    """They come now and then, and each has more passes than the one before."""
    profiles = list(measured(tiny_encoder, [1, 2], 3, ONCE, clock=Ticks()))
    assert len(profiles) > 2
    assert [p.complete for p in profiles[:2]] == [False, False]
    assert profiles[-1].complete
    passes = [sum(e.vision_ms.samples for e in p.entries) for p in profiles]
    assert passes == sorted(passes)


def test_a_profile_is_resumed(tiny_encoder: Encoder) -> None:
    """Counts that were measured in full are kept, what is missing is measured."""
    first = last(measured(tiny_encoder, [1, 2], 3, ONCE))
    second = last(measured(tiny_encoder, [1, 2, 3], 3, ONCE, resume=first))
    assert second.entries[:2] == first.entries
    assert second.complete
    again = last(measured(tiny_encoder, [1, 2, 3], 3, ONCE, resume=second))
    assert again == second


def test_a_profile_of_other_conditions_is_not_resumed(tiny_encoder: Encoder) -> None:
    """What was measured on another device, dtype or torch is measured again."""
    first = last(measured(tiny_encoder, [1], 3, ONCE))
    for other in (replace(first, device="other"), replace(first, threads=first.threads + 1)):
        profile = last(measured(tiny_encoder, [1], 3, ONCE, resume=other))
        assert profile.device == first.device
        assert profile.entries != first.entries


class Device:
    """Whatever it does takes a second of its own clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def run(self, work: Callable[[], T], /) -> T:
        self.now += 1
        return work()

    def clock(self) -> float:
        return self.now


def measured_for(
    encoder: Encoder,
    budget_s: float,
    counts: Sequence[int],
    rounds: int,
    warmup: WarmupRule = ONCE,
    resume: Profile | None = None,
) -> Profile:
    """The last profile within a budget, where a pass takes a second."""
    device = Device()
    hooks = {"run": device.run, "clock": device.clock}
    found = measured(encoder, counts, rounds, warmup, resume, budget_s=budget_s, **hooks)
    return last(found)


def test_a_budget_that_ends_while_warming_up_leaves_what_was_warm(tiny_encoder: Encoder) -> None:
    """A pass of each count that was warm by then: of the ends first, not of the smallest only."""
    cut = measured_for(tiny_encoder, 5, [1, 2, 3, 4, 5], 7)
    assert [(e.total_crops, e.vision_ms.samples) for e in cut.entries] == [(1, 1), (5, 1)]
    assert [e.warmup.calls for e in cut.entries] == [1, 1]
    assert not cut.complete
    assert cut.rounds == 7


def test_as_many_rounds_are_made_as_fit_the_budget(tiny_encoder: Encoder) -> None:
    """All of them whole: a copy and twice three seconds to warm up, then three a round."""
    profile = measured_for(tiny_encoder, 60, [1, 2], 200)
    assert [entry.vision_ms.samples for entry in profile.entries] == [17, 17]
    assert profile.rounds == 17
    assert profile.complete


def test_fewer_rounds_than_the_least_are_not_complete(tiny_encoder: Encoder) -> None:
    """The median has no interval yet; a pass more, in a later measurement, and it has."""
    cut = measured_for(tiny_encoder, 7 + 3 * 5, [1, 2], 200)
    assert [entry.vision_ms.samples for entry in cut.entries] == [LEAST_ROUNDS - 1] * 2
    assert (cut.complete, cut.rounds) == (False, 200)
    more = measured_for(tiny_encoder, 7 + 3, [1, 2], 200, resume=cut)
    assert [entry.vision_ms.samples for entry in more.entries] == [LEAST_ROUNDS] * 2
    assert (more.complete, more.rounds) == (True, LEAST_ROUNDS)


def test_passes_of_an_earlier_measurement_are_gone_on_with(tiny_encoder: Encoder) -> None:
    """None of them is lost, and no more are added than were asked for."""
    cut = measured_for(tiny_encoder, 7 + 3 * 2, [1, 2], 5)
    finished = last(measured(tiny_encoder, [1, 2, 3], 5, ONCE, resume=cut))
    assert finished.complete
    for entry, before in zip(finished.entries, cut.entries, strict=False):
        assert entry.samples_ms.vision[:2] == before.samples_ms.vision
        assert entry.samples_ms.cpu[:2] == before.samples_ms.cpu
    assert [entry.vision_ms.samples for entry in finished.entries] == [5, 5, 5]


def test_a_cut_measurement_loses_nothing_that_it_was_to_resume(tiny_encoder: Encoder) -> None:
    """Counts that it did not come to stay as they were, and so do the rates."""
    first = measured_for(tiny_encoder, 60, [1, 2, 3], 3)
    again = measured_for(tiny_encoder, 3, [1, 2, 3], 9, resume=first)
    assert again.entries[1:] == first.entries[1:]
    assert again.entries[0].vision_ms.samples == 4
    assert again.matmul_gflop_per_s == first.matmul_gflop_per_s


def test_what_is_not_asked_for_is_not_called_complete(tiny_encoder: Encoder) -> None:
    """A count that was cut short stays so while others are measured."""
    cut = measured_for(tiny_encoder, 5, [1, 2], 3)
    assert cut.entry(1) is not None
    other = measured_for(tiny_encoder, 100, [3], 3, resume=cut)
    assert not other.complete
    assert not measured_for(tiny_encoder, 100, [3], 3, resume=other).complete


def test_others_that_were_measured_keep_a_profile_complete(tiny_encoder: Encoder) -> None:
    """A request that missed a count leaves the profile of the start as whole as it was."""
    whole = measured_for(tiny_encoder, 100, [1, 2, 5], LEAST_ROUNDS)
    told_partial = replace(whole, complete=False)
    again = measured_for(tiny_encoder, 100, [1, 2], LEAST_ROUNDS, resume=told_partial)
    assert again.complete
    assert [entry.total_crops for entry in again.entries] == [1, 2, 5]


def test_memory_that_ends_in_a_round_ends_that_count_alone(
    tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are measured in full, and the profile says that it is not."""
    time = Series.time

    def scarce(series: Series, scope: Scope) -> float:
        if series.plan.total_crops == 2 and series.begun:
            raise OutOfDeviceMemory("others took it")
        return time(series, scope)

    monkeypatch.setattr(Series, "time", scarce)
    found = measured_for(tiny_encoder, 100, [1, 2, 3], 4)
    assert [(e.total_crops, e.vision_ms.samples) for e in found.entries] == [(1, 4), (2, 1), (3, 4)]
    assert not found.complete


def test_warming_up_takes_its_share_of_the_budget(tiny_encoder: Encoder) -> None:
    """A quarter over all counts, but for the call that each has in any case."""
    patient = WarmupRule(at_least_s=20, at_most_s=50)
    profile = measured_for(tiny_encoder, 80, [1, 2, 3, 4], 6, patient)
    calls = sum(entry.warmup.calls for entry in profile.entries)
    assert 8 < calls <= 0.25 * 80 + 4
    assert profile.complete


def test_the_counts_share_the_time_to_warm_up_evenly() -> None:
    """A quarter of the budget; what one count leaves over is for those after it."""
    rule, now = WarmupRule(at_least_s=6, at_most_s=50), 0.0
    keeper = Timekeeper(CUDA, None, 80, lambda: now)
    assert keeper.warmup(rule, 4) == WarmupRule(at_least_s=5, at_most_s=5)
    now = 2.0
    assert keeper.warmup(rule, 3) == WarmupRule(at_least_s=6, at_most_s=6)
    assert keeper.warmup(rule, 1) == WarmupRule(at_least_s=6, at_most_s=18)
    now = 21.0
    assert keeper.warmup(rule, 1) == WarmupRule(at_least_s=0, at_most_s=0)


def test_without_wishes_a_slow_device_makes_the_least_rounds() -> None:
    """Two hundred passes of whatever length would not end; what is asked for is done."""
    unasked = Timekeeper(CUDA, None, None, Ticks())
    assert unasked.most == 200
    assert unasked.allows_round(LEAST_ROUNDS - 1, 10_000)
    assert not unasked.allows_round(LEAST_ROUNDS, 10_000)
    assert unasked.allows_round(LEAST_ROUNDS, 1)
    assert not unasked.is_over()
    asked = Timekeeper(CUDA, 50, None, Ticks())
    assert asked.allows_round(49, 10_000)
    assert Timekeeper(CPU, 2, 60.0).least == 2


@given(st.integers(0, 30))
def test_coarse_to_fine_goes_over_everything_once(many: int) -> None:
    """Both ends first; at every moment the widest gap is at most about twice the narrowest."""
    order = coarse_to_fine(range(many))
    assert sorted(order) == list(range(many))
    assert order[:2] == [0, many - 1][:many]
    for done in range(2, many):
        places = sorted(order[:done])
        gaps = [high - low for low, high in pairwise(places)]
        assert max(gaps) <= 2 * min(gaps) + 2


def test_it_can_be_stopped_between_two_passes(tiny_encoder: Encoder) -> None:
    """In the warm-up or in the rounds; nothing starts any more, and what there is is kept."""
    for stop_after in (1, 3, 4, 6):
        told: list[int] = []
        stopped = last(
            measured(
                tiny_encoder,
                [1, 2, 3],
                5,
                ONCE,
                progress=lambda p, told=told: told.append(p.total_crops),
                until=lambda told=told, most=stop_after: len(told) >= most,
            )
        )
        assert len(told) == stop_after
        assert not stopped.complete
        assert [entry.vision_ms.samples for entry in stopped.entries] == [1] * min(3, stop_after)


def test_no_profile_is_made_of_nothing(tiny_encoder: Encoder) -> None:
    """Where the time is up at once it is an error, and where it was cancelled there is none."""
    with pytest.raises(EncoderError, match="nothing was measured"):
        list(measured(tiny_encoder, [1], budget_s=0, clock=Ticks()))
    assert list(measured(tiny_encoder, [1], until=lambda: True)) == []
    earlier = last(measured(tiny_encoder, [1], 2, ONCE))
    (kept,) = measured(tiny_encoder, [1], 3, budget_s=0, resume=earlier, clock=Ticks())
    assert kept == earlier


def test_the_key_says_what_decides_a_latency(tiny_encoder: Encoder) -> None:
    """Margins are part of it, since they decide how many tokens are pooled."""
    narrow = make_config(tiny_encoder.family, overlap_margins=(0, 2))
    key = profile_key(tiny_encoder)
    assert key.overlap_margins == (2, 2)
    assert profile_key(tiny_encoder, narrow) != key
    profile = last(measured(tiny_encoder, [1], 1, ONCE, config=narrow))
    assert profile.key == profile_key(tiny_encoder, narrow)


def test_an_image_of_noise_is_cut_into_the_counts_grid() -> None:
    """So that all scopes of a count run the same crops and tokens."""
    config = make_config(family_named("molmo-7b-d-0924"))
    for profiled in profile_plans(config, range(2, 14)):
        pixels, plan = synthetic_image(profiled)
        assert (plan.grid.rows, plan.grid.cols) == (profiled.rows, profiled.cols)
        assert plan.tokens.patch == profiled.patch_tokens
        assert tuple(pixels.shape) == (plan.image.height, plan.image.width, 3)


def test_silence_comes_before_every_idle_pass(tiny_encoder: Encoder) -> None:
    """As long as the entry says, and as often as it has samples."""
    slept: list[float] = []
    entries = measure_idle(tiny_encoder, [1, 2], silences_s=(1, 10), repeats=2, sleep=slept.append)
    assert slept == [1, 1, 10, 10] * 2
    assert [(e.total_crops, e.silence_s) for e in entries] == [(1, 1), (1, 10), (2, 1), (2, 10)]


def test_a_warm_up_ends_when_times_have_settled() -> None:
    """Not before the least time, not before ten calls, and not after the most time."""
    falling = iter([50.0, 40, 30, 25, 22, *[20.0] * 11])
    calm = WarmupRule(at_least_s=0, at_most_s=1000).warm(lambda: next(falling), clock=Ticks())
    assert calm.settled
    assert 10 < calm.calls < 16
    steady = WarmupRule(at_least_s=20, at_most_s=1000).warm(lambda: 5.0, clock=Ticks())
    assert steady.calls >= 20
    rising = (float(number**2) for number in range(1, 1000))
    cut = WarmupRule(at_least_s=0, at_most_s=15).warm(lambda: next(rising), clock=Ticks())
    assert not cut.settled
    assert cut.calls == 15
