from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.report.dataset.selection import nearest, select, spread

COUNTS = st.lists(st.integers(1, 64), min_size=1, unique=True).map(sorted)
SETS = st.dictionaries(st.integers(1, 64), st.integers(1, 4), min_size=1, max_size=12).map(
    lambda sizes: {c: [f"{c}-{i}" for i in range(n)] for c, n in sizes.items()}
)


def crops_of(item: str) -> int:
    return int(item.split("-")[0])


@given(SETS, st.integers(1, 20), st.integers(1, 64))
def test_as_many_as_wanted_with_the_nearest_count_among_them(by_crops, number, target):
    """Fewer only where there are no more; no item twice; fewest crops first."""
    chosen, closest = select(by_crops, number, target)
    assert len(chosen) == min(number, sum(map(len, by_crops.values())))
    assert len(set(chosen)) == len(chosen)
    crops = [crops_of(item) for item in chosen]
    assert crops == sorted(crops)
    assert closest in crops
    assert all(abs(closest - target) <= abs(c - target) for c in by_crops)


@given(SETS, st.integers(1, 20), st.integers(1, 64))
def test_no_count_is_taken_twice_before_each_was_taken_once(by_crops, number, target):
    """The range of crops is what is to be seen."""
    crops = [crops_of(item) for item in select(by_crops, number, target)[0]]
    often = {c: crops.count(c) for c in by_crops}
    for count, taken in often.items():
        left = len(by_crops[count]) - taken
        assert all(other <= taken + 1 for other in often.values()) or left == 0


@given(COUNTS, st.integers(2, 12), st.data())
def test_spread_spans_the_range(counts, number, data):
    """The first and the last count are there, but where the one that must be took its place."""
    always = data.draw(st.sampled_from(counts))
    chosen = spread(counts, number, always)
    assert always in chosen
    assert len(chosen) == min(number, len(counts))
    for end in (counts[0], counts[-1]):
        assert end in chosen or nearest(end, chosen) == always


def test_spread_is_even():
    assert spread(list(range(1, 14)), 5, 13) == [1, 4, 7, 10, 13]
    assert spread([1, 2, 3, 4, 6, 9], 5, 9) == [1, 3, 4, 6, 9]


@given(SETS, st.integers(1, 20), st.integers(1, 64), st.data())
def test_what_is_not_usable_is_as_good_as_not_there(by_crops, number, target, data):
    """The next of its count is taken, and another count where none is left."""
    every = [item for items in by_crops.values() for item in items]
    bad = data.draw(st.sets(st.sampled_from(every)))
    chosen = select(by_crops, number, target, lambda item: item not in bad)
    usable = {c: [i for i in items if i not in bad] for c, items in by_crops.items()}
    assert chosen == select({c: i for c, i in usable.items() if i}, number, target)


def test_nothing_usable_selects_nothing():
    assert select({3: ["a"]}, 2, 12, lambda _: False) == ((), None)
