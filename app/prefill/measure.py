"""Prompts of several lengths in shuffled rounds: the points that a prefill line is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

from app.core.errors import InvalidConfig
from app.core.latency.prefill import FEWEST_LENGTHS, PrefillFit, PrefillPoint
from app.core.statistics import shuffled_rounds
from app.prefill.prompts import Prompts
from app.prefill.server import FirstToken, ModelServer

PROBE_TOKENS = 32
"""The very first prompt, when a word is taken for a token: enough to learn how many it is."""

Progress = Callable[[int, int, FirstToken], None]
"""Requests that were made, how many there will be, and what the last one gave."""


@dataclass(frozen=True, slots=True)
class MeasuredPrefill:
    """The fit, and the most tokens of a timed prompt that its server had in its cache."""

    fit: PrefillFit
    cached_tokens: int


def measure_prefill(
    server: ModelServer,
    model: str,
    lengths: Sequence[int],
    rounds: int,
    *,
    random: Random | None = None,
    progress: Progress = lambda done, total, last: None,
) -> MeasuredPrefill:
    """Time the first token of prompts of these lengths, in tokens, ``rounds`` times each.

    First comes a warm-up that is not timed: a short prompt, then one of each length by rising
    length, from which the words for so many tokens are learned. One request runs at a time.

    Args:
        server: what is measured. It should have nothing else to do.
        model: as the server names it.
        lengths: about how many tokens; three different ones at least.
        rounds: at least 1.
        random: where the prompts come from; by default no two runs send the same.
        progress: called after each request.

    Raises:
        InvalidConfig: too few lengths.
        ModelServerError: the server cannot be reached or does not play along.
        NoPrefillLine: its times are no line.
    """
    _check(lengths)
    prompts, asked = Prompts(random or Random()), sorted(set(lengths))
    warm_up = [PROBE_TOKENS, *asked]
    done, total = count(1), len(warm_up) + rounds * len(asked)

    def ask(prompt: str) -> FirstToken:
        first = server.first_token(model, prompt)
        progress(next(done), total, first)
        return first

    for tokens in warm_up:
        prompt = prompts.of(tokens)
        prompts.learn(prompt, ask(prompt).prompt_tokens)
    timed = [
        {tokens: ask(prompts.of(tokens)) for tokens in order}
        for order in shuffled_rounds(asked, rounds)
    ]
    points = [
        [PrefillPoint(one[tokens].prompt_tokens, one[tokens].ms) for tokens in asked]
        for one in timed
    ]
    cached = max(first.cached_tokens for one in timed for first in one.values())
    return MeasuredPrefill(PrefillFit.of(points), cached)


def _check(lengths: Sequence[int]) -> None:
    if len(set(lengths)) < FEWEST_LENGTHS or min(lengths) < 1:
        raise InvalidConfig(
            f"a line needs prompts of {FEWEST_LENGTHS} different lengths at least, of 1 token or "
            f"more each; asked for were {', '.join(map(str, lengths)) or 'none'}",
            parameter="tokens",
            limit=FEWEST_LENGTHS,
            actual=len(set(lengths)),
        )
