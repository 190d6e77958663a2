"""A whole measurement: the server's own line, from prompts that no cache could have."""

from __future__ import annotations

from random import Random

import pytest

from app.core.errors import InvalidConfig, NoPrefillLine
from app.prefill.measure import measure_prefill
from app.prefill.server import ModelServer

LENGTHS = (40, 10, 20)


@pytest.fixture
def measured(model_server):
    """Measures the fake server."""

    def measures(lengths=LENGTHS, rounds=6, **options):
        with ModelServer(model_server.url, clock=model_server.clock) as server:
            return measure_prefill(server, "tiny", lengths, rounds, **options)

    return measures


def test_the_line_of_a_server_is_found(model_server, measured):
    """Its slope and its base, by the tokens that it counts; nothing of it in doubt."""
    fit = measured().fit
    assert (fit.cost.ms_per_token, fit.cost.base_ms) == pytest.approx((0.25, 8))
    assert [length.tokens for length in fit.lengths] == [10, 20, 40]
    assert [length.ms.samples for length in fit.lengths] == [6, 6, 6]
    assert fit.doubt is None


def test_no_two_prompts_begin_alike(model_server, measured):
    """Neither in a run nor in two, so that no prefix is in a cache."""
    measured()
    measured()
    starts = [prompt.split()[0] for prompt in model_server.prompts()]
    assert len(starts) == 2 * (1 + 3 + 6 * 3)
    assert len(set(starts)) == len(starts)


def test_lengths_are_met_whatever_a_word_costs(model_server, measured):
    """The server's counts are learned from before anything is timed."""
    model_server.tokens_per_word = 3
    fit = measured((60, 120, 300)).fit
    assert [length.tokens for length in fit.lengths] == [60, 120, 300]
    assert fit.cost.ms_per_token == pytest.approx(0.25)


def test_rounds_are_shuffled_and_whole(model_server, measured):
    """After the warm-up each round has every length once, in orders of their own."""
    measured(rounds=9)
    words = [len(prompt.split()) for prompt in model_server.prompts()[4:]]
    rounds = [tuple(words[start : start + 3]) for start in range(0, 27, 3)]
    assert {tuple(sorted(one)) for one in rounds} == {(10, 20, 40)}
    assert len(set(rounds)) > 1


def test_the_warm_up_is_not_in_the_times(model_server, measured):
    """A server's first prompts of a length may take seconds."""
    slow = iter([5000.0] * 4)
    model_server.delay_ms = lambda tokens: 8 + 0.25 * tokens + next(slow, 0)
    fit = measured().fit
    assert fit.cost.base_ms == pytest.approx(8)
    assert max(length.ms.max for length in fit.lengths) < 20


def test_progress_counts_every_prompt(measured):
    """Up to the number that was said from the start."""
    seen = []
    measured(rounds=2, progress=lambda done, total, last: seen.append((done, total)))
    assert seen == [(done, 10) for done in range(1, 11)]


def test_the_most_that_was_cached_is_told(model_server, measured):
    """So that a template's share, or a fault in this, shows."""
    model_server.cached_tokens = 7
    assert measured().cached_tokens == 7


def test_a_seed_repeats_the_prompts(model_server, measured):
    """For whoever wants the very same; nobody else has them twice."""
    measured(rounds=1, random=Random(3))
    measured(rounds=1, random=Random(3))
    prompts = model_server.prompts()
    assert prompts[:7] == prompts[7:]


def test_a_flat_server_has_no_line(model_server, measured):
    """A staircase all on one step."""
    model_server.delay_ms = lambda tokens: 50
    with pytest.raises(NoPrefillLine, match="do not rise"):
        measured()


@pytest.mark.parametrize("lengths", [(), (10, 20), (10, 10, 20), (0, 10, 20)])
def test_lengths_that_make_no_line_are_refused_unsent(model_server, measured, lengths):
    """Nobody waits for a measurement that must fail."""
    with pytest.raises(InvalidConfig, match="3 different lengths"):
        measured(lengths)
    assert model_server.asked == []
