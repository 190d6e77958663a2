"""Drift: several recent measurements correct a prediction, one does not."""

from __future__ import annotations

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from app.core.latency.latency import FEWEST_TO_CORRECT, MAX_AGE_S, MOST_RATIOS, Drift

ratios = st.lists(st.floats(0.1, 10), min_size=1, max_size=2 * MOST_RATIOS)


def noted(values: list[float], every_s: float = 1.0) -> Drift:
    drift = Drift()
    for number, value in enumerate(values):
        drift = drift.noted(value, number * every_s)
    return drift


@given(ratios)
def test_it_is_the_median_of_the_last_ones(values: list[float]) -> None:
    """So many at most; and what is not enough to correct is shown all the same."""
    now = noted(values).at(len(values))
    last = values[-MOST_RATIOS:]
    assert (now.ratio, now.measurements) == (median(last), len(last))
    assert now.factor == (now.ratio if len(values) >= FEWEST_TO_CORRECT else None)


@given(
    st.lists(st.floats(0.9, 1.1), min_size=FEWEST_TO_CORRECT - 1, max_size=MOST_RATIOS - 1),
    st.data(),
)
def test_one_outlier_moves_it_no_further_than_the_others_lie(
    values: list[float], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(values)))
    factor = noted([*values[:place], 1000.0, *values[place:]]).at(len(values) + 1).factor
    assert factor is not None
    assert min(values) <= factor <= max(values)


@given(ratios, st.floats(0, MAX_AGE_S))
def test_it_forgets(values: list[float], ago_s: float) -> None:
    """What is older than its age no longer counts, so in time nothing does."""
    drift = noted(values, every_s=0)
    assert drift.at(ago_s) == drift.at(0)
    assert drift.at(MAX_AGE_S + 1).measurements == 0
    assert drift.at(MAX_AGE_S + 1).factor is None
    again = drift.noted(2.0, MAX_AGE_S + 1).at(MAX_AGE_S + 1)
    assert (again.ratio, again.measurements) == (2.0, 1)


def test_without_measurements_there_is_none() -> None:
    now = Drift().at(0)
    assert (now.ratio, now.measurements, now.factor) == (None, 0, None)
