"""What is kept stays within its bytes, whoever asks for what."""

from hypothesis import given
from hypothesis import strategies as st

from app.serving.kept import ENTRY_BYTES, Kept, KeptByRevision

LIMIT = 5 * ENTRY_BYTES
entries = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2 * LIMIT)))


@given(entries)
def test_it_never_takes_more_than_its_limit(kept_in_turn):
    """And counts what it has: everything still found adds up to it."""
    kept, sizes = Kept[int, int](LIMIT), {}
    for key, size in kept_in_turn:
        kept.keep(key, size, size)
        sizes[key] = size + ENTRY_BYTES
        assert kept.bytes <= LIMIT
        assert kept.bytes == sum(sizes[key] for key in sizes if kept.get(key) is not None)


@given(entries)
def test_a_value_found_is_the_last_that_was_kept(kept_in_turn):
    kept, last = Kept[int, int](LIMIT), {}
    for key, size in kept_in_turn:
        kept.keep(key, size, size)
        last[key] = size
        assert all(kept.get(key) in (None, last[key]) for key in last)
        assert (kept.get(key) == size) == (size + ENTRY_BYTES <= LIMIT)


def test_what_is_unused_the_longest_goes_first():
    kept = Kept[str, str](2 * ENTRY_BYTES)
    kept.keep("a", "A", 0)
    kept.keep("b", "B", 0)
    kept.get("a")
    kept.keep("c", "C", 0)
    assert [kept.get(key) for key in "abc"] == ["A", None, "C"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2))))
def test_a_value_is_found_at_its_own_revision_alone(steps):
    """Once a newer revision was seen, nothing of an older one is found, or kept any more."""
    kept, truth, newest = KeptByRevision[int, tuple[int, int]](10**6), {}, -1
    for keep, revision, key in steps:
        if revision > newest:
            newest, truth = revision, {}
        if keep:
            kept.keep(revision, key, (revision, key), 1)
            if revision == newest:
                truth[key] = (revision, key)
        found = kept.get(revision, key)
        assert found == (truth.get(key) if revision == newest else None)
