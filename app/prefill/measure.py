"""Prompts of several lengths in shuffled rounds: the points that a prefill line is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from app.core.errors import InvalidConfig
from app.core.prefill_fit import FEWEST_LENGTHS, PrefillFit, PrefillPoint
from app.core.rounds import shuffled_rounds
from app.prefill.prompts import Prompts
from app.prefill.server import FirstToken, ModelServer

PROBE_TOKENS = 32
"""Words of the very first prompt: enough to learn how many tokens a word is."""

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
    prompts = Prompts(random or Random())
    asked = sorted(set(lengths))
    warm_up = [PROBE_TOKENS, *asked]
    total = len(warm_up) + rounds * len(asked)
    for done, tokens in enumerate(warm_up, start=1):
        prompt = prompts.of(tokens)
        last = server.first_token(model, prompt)
        prompts.learn(prompt, last.prompt_tokens)
        progress(done, total, last)

    timed: list[dict[int, FirstToken]] = []
    done = len(warm_up)
    for order in shuffled_rounds(asked, rounds):
        of_round: dict[int, FirstToken] = {}
        for tokens in order:
            of_round[tokens] = server.first_token(model, prompts.of(tokens))
            done += 1
            progress(done, total, of_round[tokens])
        timed.append(of_round)
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
