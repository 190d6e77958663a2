"""The batching policy: its laws hold for whatever waits."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.fakes import fake_profile
from support.profiles import entry, profile

from app.serving.encode.policy import (
    DEFAULT_BATCH_CROPS,
    Waiting,
    batch_limit,
    choose_batch,
    may_overlap,
)

NOW = 5.0
times = st.sampled_from([3.0, 4.0, NOW, 6.0, 7.0])  # few, so that ties are common
items = st.builds(
    Waiting,
    crops=st.integers(1, 3) | st.integers(1, 20),
    arrived_s=times,
    deadline_s=st.none() | times,
    cancelled=st.sampled_from([False, False, False, True]),
)
queues = st.lists(items, max_size=12)
limits = st.integers(1, 20)


def is_live(item: Waiting) -> bool:
    return not item.cancelled and (item.deadline_s is None or item.deadline_s > NOW)


def ages(queue: list[Waiting], places) -> list[tuple[float, int]]:
    return [(queue[i].arrived_s, i) for i in places]


@given(queues, limits)
def test_every_item_is_in_exactly_one_place(queue, limit):
    choice = choose_batch(queue, NOW, limit)
    everywhere = [*choice.batch, *choice.stay, *choice.expired, *choice.cancelled]
    assert sorted(everywhere) == list(range(len(queue)))


@given(queues, limits)
def test_the_dropped_are_just_those_that_are_cancelled_or_expired(queue, limit):
    choice = choose_batch(queue, NOW, limit)
    assert {i for i, item in enumerate(queue) if is_live(item)} == {*choice.batch, *choice.stay}
    assert all(queue[i].cancelled for i in choice.cancelled)
    assert not any(queue[i].cancelled for i in choice.expired)


@given(queues, limits)
def test_the_device_never_idles_and_the_oldest_always_runs(queue, limit):
    choice = choose_batch(queue, NOW, limit)
    live = ages(queue, (i for i, item in enumerate(queue) if is_live(item)))
    assert choice.batch[:1] == ((min(live)[1],) if live else ())


@given(queues, limits)
def test_a_batch_is_within_the_limit_unless_it_is_one_item(queue, limit):
    choice = choose_batch(queue, NOW, limit)
    crops = sum(queue[i].crops for i in choice.batch)
    assert crops <= limit or len(choice.batch) == 1


@given(queues, limits)
def test_nothing_that_fits_is_left(queue, limit):
    choice = choose_batch(queue, NOW, limit)
    room = limit - sum(queue[i].crops for i in choice.batch)
    assert all(queue[i].crops > room for i in choice.stay)


@given(queues, limits)
def test_a_batch_is_by_age(queue, limit):
    batch = choose_batch(queue, NOW, limit).batch
    assert ages(queue, batch) == sorted(ages(queue, batch))


@given(st.lists(items.map(lambda item: replace(item, crops=2))), limits)
def test_of_those_of_one_size_the_most_urgent_and_then_the_oldest_ride_along(queue, limit):
    choice = choose_batch(queue, NOW, limit)

    def rank(i: int) -> tuple[float, float, int]:
        deadline = queue[i].deadline_s
        return (float("inf") if deadline is None else deadline, queue[i].arrived_s, i)

    ranked = sorted([*choice.batch[1:], *choice.stay], key=rank)
    assert set(ranked[: len(choice.batch) - 1]) == set(choice.batch[1:])


@given(st.lists(items.filter(is_live), min_size=1, max_size=10), st.data())
def test_nobody_starves_whoever_comes_later(queue, data):
    """The k-th to come is in one of the next k passes, if more urgent ones come all the time."""
    limit = data.draw(limits)
    waiting = dict(enumerate(sorted(queue, key=lambda item: item.arrived_s)))
    first = len(waiting)
    for turn in range(1, first + 1):
        hurried = Waiting(crops=1, arrived_s=20.0 + turn, deadline_s=NOW + 0.01)
        waiting[first + turn] = hurried
        names = list(waiting)
        for i in choose_batch(list(waiting.values()), NOW, limit).batch:
            del waiting[names[i]]
        assert not any(name < turn for name in waiting)


@given(items.filter(is_live), limits)
def test_one_alone_goes_at_once(item, limit):
    assert choose_batch([item], NOW, limit).batch == (0,)


@given(queues.filter(lambda queue: any(map(is_live, queue))), limits)
def test_what_leaves_something_behind_is_launched_beside_a_pass(queue, limit):
    """A pass that is full already would gain no company by waiting."""
    live = [item for item in queue if is_live(item)]
    if choose_batch(live, NOW, limit).stay:
        assert may_overlap(sum(item.crops for item in live), limit)


def test_half_the_limit_is_enough_to_be_launched_beside_a_pass():
    """One image of 6 crops and its global one, where passes have up to 13."""
    assert may_overlap(7, DEFAULT_BATCH_CROPS)
    assert not may_overlap(6, DEFAULT_BATCH_CROPS)


def test_the_limit_is_the_smallest_count_with_nearly_the_best_rate():
    """Rates 100, 125, 158 and 160 crops/s: the third is within 5 % of the best."""
    rising = profile(entry(0, 0, 9.0), entry(1, 1, 15.0), entry(1, 2, 18.0), entry(1, 3, 24.0))
    assert batch_limit(rising) == 3


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=13))
def test_the_limit_reaches_nearly_the_best_rate_and_no_smaller_one_does(medians):
    made = profile(*(entry(min(1, n), n, ms) for n, ms in enumerate(medians)))
    rates = {e.total_crops: e.total_crops / e.vision_ms.p50 for e in made.entries}
    enough = {count for count, rate in rates.items() if rate >= 0.95 * max(rates.values())}
    assert batch_limit(made) == min(enough)


def test_without_a_complete_profile_the_limit_is_the_default():
    assert batch_limit(None) == DEFAULT_BATCH_CROPS
    assert batch_limit(fake_profile(2, complete=False)) == DEFAULT_BATCH_CROPS
    assert batch_limit(replace(fake_profile(2), entries=())) == DEFAULT_BATCH_CROPS
