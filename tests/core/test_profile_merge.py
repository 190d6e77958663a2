"""Merging profiles: the newer figure of each count, and no claim that either does not make."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.profiles import entry, profile

from app.core.profile import Profile
from app.core.profile_laws import check_laws
from app.core.profile_merge import merged


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Some counts, each in one row, complete or not, doubted or not."""
    counts = sorted(draw(st.sets(st.integers(1, 6))))
    entries = [entry(min(1, n - 1), n - 1, draw(st.floats(1, 100))) for n in counts]
    return replace(
        profile(*entries),
        complete=draw(st.booleans()),
        contended=draw(st.sampled_from([None, "busy", "hot"])),
    )


def counts(of: Profile) -> set[int]:
    return {entry.total_crops for entry in of.entries}


@given(profiles(), profiles())
def test_each_count_has_its_newest_entry_and_the_laws_hold(older, newer):
    both = merged(older, newer)
    check_laws(both)
    assert counts(both) == counts(older) | counts(newer)
    for found in both.entries:
        newest = newer.entry(found.total_crops) or older.entry(found.total_crops)
        assert found == newest


@given(profiles(), profiles())
def test_what_remains_of_the_older_is_not_called_better_than_it_was(older, newer):
    """Complete only if all of it is, doubted if any of it is."""
    both = merged(older, newer)
    remains = bool(counts(older) - counts(newer))
    assert both.complete == (newer.complete and (older.complete or not remains))
    assert (both.contended is None) == (
        newer.contended is None and (older.contended is None or not remains)
    )


@given(profiles(), profiles())
def test_merging_again_changes_nothing(older, newer):
    both = merged(older, newer)
    assert merged(both, newer).entries == both.entries
    assert merged(newer, newer) == newer


@given(profiles(), profiles())
def test_a_profile_of_other_conditions_adds_nothing(older, newer):
    assert merged(replace(older, dtype="bfloat16"), newer) == newer
    assert merged(None, newer) == newer
