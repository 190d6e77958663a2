from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import pytest

from app.core.config import make_config
from app.core.families import family_named
from app.core.geometry import Grid, Size
from app.core.plan import plan_with_grid
from app.core.profile import Profile
from app.core.profile_file import profile_from_json, profile_to_json
from app.core.tokens import count_tokens
from app.encoder.encoder import Encoder
from app.encoder.measure import measure, measure_profile, profile_key
from app.encoder.profile_plans import profile_plans, squarest_grid, synthetic_crops

T = TypeVar("T")


class Ticks:
    """A clock that goes on by one second each time it is read."""

    def __init__(self) -> None:
        self.now = -1.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


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
    assert prepared.patch_tokens == plan.tokens.patch
    assert prepared.patches.std() == pytest.approx(1, abs=0.05)
    assert tiny_encoder.run(
        synthetic_crops(one, tiny_encoder.device, tiny_encoder.dtype)
    ).tokens.shape == (9, 24)


def test_a_measurement_counts_its_passes(tiny_encoder: Encoder) -> None:
    """Warm-up passes are run and not counted, and each pass is one call of the hook."""
    calls = 0

    def counted(work: Callable[[], T], /) -> T:
        nonlocal calls
        calls += 1
        return work()

    (plan,) = profile_plans(make_config(tiny_encoder.family), [2])
    measured = measure(
        tiny_encoder,
        synthetic_crops(plan, tiny_encoder.device, tiny_encoder.dtype),
        4,
        2,
        run=counted,
    )
    assert len(measured.passes) == 4
    assert calls == 6


def test_a_profile_grows_count_by_count(tiny_encoder: Encoder) -> None:
    """Each step adds the next count; only the last one is complete."""
    profiles = list(measure_profile(tiny_encoder, [3, 1, 2], repeats=3, warmup=1))
    assert [[e.total_crops for e in p.entries] for p in profiles] == [[1], [1, 2], [1, 2, 3]]
    assert [p.complete for p in profiles] == [False, False, True]
    profile = profiles[-1]
    entry = profile.entry(3)
    assert entry is not None
    assert (entry.rows, entry.cols, entry.vision_ms.samples) == (1, 2, 3)
    assert entry.gflop_per_s == pytest.approx(entry.flops / entry.vision_ms.p50 / 1e6)
    assert profile.weights == "checkpoint"
    assert profile.matmul_gflop_per_s
    assert profile_from_json(profile_to_json(profile)) == profile


def test_a_profile_is_resumed(tiny_encoder: Encoder) -> None:
    """Counts that were measured in full are kept, the others are measured."""
    first = last(measure_profile(tiny_encoder, [1, 2], repeats=3, warmup=0))
    second = list(measure_profile(tiny_encoder, [1, 2, 3], repeats=3, warmup=0, resume=first))
    assert len(second) == 1
    assert second[0].entries[:2] == first.entries
    assert second[0].complete
    again = last(measure_profile(tiny_encoder, [1, 2, 3], repeats=3, warmup=0, resume=second[0]))
    assert again == second[0]


def test_a_profile_of_other_conditions_is_not_resumed(tiny_encoder: Encoder) -> None:
    """What was measured on another device, dtype or torch is measured again."""
    first = last(measure_profile(tiny_encoder, [1], repeats=3, warmup=0))
    for other in (replace(first, device="other"), replace(first, threads=first.threads + 1)):
        (profile,) = measure_profile(tiny_encoder, [1], repeats=3, warmup=0, resume=other)
        assert profile.device == first.device
        assert profile.entries != first.entries


def test_the_budget_ends_it(tiny_encoder: Encoder) -> None:
    """No pass starts after the budget, and what was measured by then is kept as incomplete."""
    cut = last(measure_profile(tiny_encoder, [1, 2, 3], 5, 0, budget_s=14, clock=Ticks()))
    assert not cut.complete
    assert [entry.total_crops for entry in cut.entries] == [1, 2]
    second = cut.entry(2)
    assert second is not None
    assert 3 <= second.vision_ms.samples < 5
    finished = last(measure_profile(tiny_encoder, [1, 2, 3], 5, 0, resume=cut))
    assert finished.complete
    assert finished.entries[0] == cut.entries[0]
    assert finished.entries[1] != cut.entries[1]


def test_no_budget_gives_an_empty_profile(tiny_encoder: Encoder) -> None:
    """Even then there is one profile to show, which says that it is not complete."""
    (profile,) = measure_profile(tiny_encoder, [1], budget_s=0, clock=Ticks())
    assert profile.entries == ()
    assert not profile.complete


def test_the_key_says_what_decides_a_latency(tiny_encoder: Encoder) -> None:
    """Margins are part of it, since they decide how many tokens are pooled."""
    narrow = make_config(tiny_encoder.family, overlap_margins=(0, 2))
    key = profile_key(tiny_encoder)
    assert key.overlap_margins == (2, 2)
    assert profile_key(tiny_encoder, narrow) != key
    (profile,) = measure_profile(tiny_encoder, [1], repeats=1, warmup=0, config=narrow)
    assert profile.matches(profile_key(tiny_encoder, narrow))
