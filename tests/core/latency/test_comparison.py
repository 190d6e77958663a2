from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.profiles import entry_of, full_profile, profile

from app.core.latency.comparison import compare_profiles
from app.core.statistics import Comparison

counts = st.sets(st.integers(1, 13))


@given(counts, counts)
def test_counts_that_both_measured_are_compared(of_a: set[int], of_b: set[int]) -> None:
    """Just those, by rising number of crops, each by the samples of its own passes."""
    a, b = (
        profile(*(entry_of(1, n - 1, (ms * n,)) for n in sorted(measured)))
        for ms, measured in ((3.0, of_a), (2.0, of_b))
    )
    compared = compare_profiles(a, b)
    assert [count.total_crops for count in compared.counts] == sorted(of_a & of_b)
    for count in compared.counts:
        assert count.comparison == Comparison(1.5, 1.5, 1.5, 1)
        assert count.same_work


def test_a_profile_does_not_differ_from_itself() -> None:
    """Neither in any condition nor in any latency."""
    same = compare_profiles(full_profile(), full_profile())
    assert same.differences == ()
    assert len(same.counts) == 2
    assert not any(count.comparison.differs for count in same.counts)


def test_what_differs_between_two_profiles_is_told() -> None:
    """Each condition by its name, a version by its package, what only one has as None."""
    a = full_profile()
    changed = replace(
        a,
        dtype="float32",
        overlap_margins=(2, 4),
        contended=None,
        versions={**a.versions, "torch": "3", "openvino": "2025.1"},
    )
    told = {one.name: (one.a, one.b) for one in compare_profiles(a, changed).differences}
    assert told == {
        "dtype": ("bfloat16", "float32"),
        "overlap_margins": ("(4, 4)", "(2, 4)"),
        "contended": (a.contended, None),
        "versions.torch": ("2", "3"),
        "versions.openvino": (None, "2025.1"),
    }


def test_other_work_is_told() -> None:
    """The same number of crops of another network or margins needs other arithmetic."""
    a = profile(entry_of(1, 1, (1.0,)))
    b = replace(a, entries=(replace(a.entries[0], flops=10**8),))
    (count,) = compare_profiles(a, b).counts
    assert not count.same_work
