"""Time prompts of several lengths in shuffled rounds, and fit a line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from string import ascii_lowercase

from app.core.errors import InvalidConfig
from app.core.latency.prefill import FEWEST_LENGTHS, PrefillFit, PrefillPoint
from app.core.statistics import shuffled_rounds
from app.prefill.server import FirstToken, ModelServer

PROBE_TOKENS = 32
"""The very first prompt has this length and teaches the number of tokens in a word."""

WORD_LETTERS = 6

Progress = Callable[[int, int, FirstToken], None]
"""A callback gets the number of requests so far, the number of all, and the last result."""


class Prompts:
    """Make prompts of about a number of tokens, from random words.

    Words are drawn out of 300 million. Any two prompts, also of earlier runs, differ from the first
    word on, and a server's prefix cache is of no use. The server's own counts teach the number of
    tokens in a word.

    Args:
        random: the source of the words; equal seeds give equal words.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._tokens_per_word = 1.0

    def of(self, tokens: int) -> str:
        """Make a new prompt."""
        words = max(1, round(tokens / self._tokens_per_word))
        letters = (self._random.choices(ascii_lowercase, k=WORD_LETTERS) for _ in range(words))
        return " ".join(map("".join, letters))

    def learn(self, prompt: str, tokens: int) -> None:
        """Take the server's count of a prompt as the rule for later prompts."""
        self._tokens_per_word = tokens / len(prompt.split())


@dataclass(frozen=True, slots=True)
class MeasuredPrefill:
    """Hold the fit, and the most tokens of a timed prompt from the server's cache."""

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
    """Time the first token of prompts of these lengths, ``rounds`` times each.

    An untimed warm-up comes first: a short prompt, then one of each length in rising order. The
    warm-up teaches the number of words for a number of tokens. One request runs at a time.

    Args:
        server: the measured server, without other work.
        model: the server's name of the model.
        lengths: approximate prompt tokens; at least three different numbers.
        rounds: at least 1.
        random: the source of the prompts; by default every run sends new ones.
        progress: called after each request.

    Raises:
        InvalidConfig: too few lengths.
        ModelServerError: the server cannot be reached or refuses.
        NoPrefillLine: the times do not rise with the tokens.
    """
    if len(set(lengths)) < FEWEST_LENGTHS or min(lengths) < 1:
        raise InvalidConfig(
            f"a line needs prompts of {FEWEST_LENGTHS} different lengths at least, of 1 token or "
            f"more each; asked for were {', '.join(map(str, lengths)) or 'none'}",
            parameter="tokens",
            limit=FEWEST_LENGTHS,
            actual=len(set(lengths)),
        )
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
