"""Merging profiles: the newer figure of each count, and no claim that either does not make."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from support.profiles import entry, entry_of, full_profile, profile

from app.core.latency.profile import Profile, continued, merged
from app.core.latency.profile_file import check_laws


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
    assume(newer.entries)
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


def test_what_was_cut_short_does_not_replace_what_more_passes_have_shown():
    """Three passes stay where a measurement that was cut has one; a whole one replaces them."""
    older = profile(entry(0, 0, 5.0), entry(1, 1, 9.0))
    newer = replace(profile(entry_of(0, 0, (4.0,)), entry(1, 2, 12.0)), complete=False)
    both = merged(older, newer)
    assert [e.vision_ms.samples for e in both.entries] == [3, 3, 3]
    assert not both.complete
    whole = merged(older, replace(newer, complete=True))
    assert [e.vision_ms.samples for e in whole.entries] == [1, 3, 3]


@given(profiles())
def test_a_measurement_of_nothing_changes_nothing(older):
    assert merged(older, replace(profile(), complete=False)) == older


def test_what_goes_on_with_older_samples_keeps_what_was_said_of_them():
    """Its states, its doubts, and the rates that the newer part has not measured yet."""
    older = full_profile()
    newer = replace(older, states=(), contended=None, matmul_gflop_per_s=None, copy_gb_per_s=None)
    assert continued(older, newer) == older
    faster = replace(newer, matmul_gflop_per_s=900.0, contended="busy")
    assert continued(older, faster).matmul_gflop_per_s == 900
    assert continued(older, faster).contended == "busy"
