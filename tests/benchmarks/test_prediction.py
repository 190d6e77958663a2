from __future__ import annotations

import pytest
from support.profiles import entry_of, grid_tokens

from app.core.latency.profile import ProfileEntry
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.encoder.synthetic import ProfilePlan
from benchmarks.prediction import compare

CONFIG = make_config(family_named(DEFAULT_FAMILY))


def took(rows: int, cols: int) -> ProfileEntry:
    """Ten ms a crop and 0.02 ms a token."""
    return entry_of(rows, cols, (10.0 * (rows * cols + 1) + 0.02 * grid_tokens(rows, cols),) * 6)


def test_each_grid_is_held_against_what_the_profiled_ones_predict() -> None:
    """And against the profiled grid of as many crops; one between counts has none of its own."""
    profiled = [took(*shape) for shape in ((0, 0), (1, 3), (2, 3))]
    plans = [ProfilePlan(7, 1, 6, grid_tokens(1, 6), CONFIG), ProfilePlan(6, 1, 5, 0, CONFIG)]
    same, between = compare(profiled, {plan: took(plan.rows, plan.cols) for plan in plans})
    assert same.ratio is not None
    assert same.ratio.ratio == pytest.approx(same.p50_ms / profiled[2].vision_ms.p50)
    assert same.predicted_ratio == pytest.approx(same.predicted_p50_ms / profiled[2].vision_ms.p50)
    assert same.predicted_ratio > 1
    assert "predicted p50" in str(same)
    assert (between.ratio, between.predicted_ratio) == (None, None)
    assert "of the profiled grid" not in str(between)
