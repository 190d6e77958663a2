"""Prompts of about so many tokens that no cache has seen."""

from __future__ import annotations

from random import Random
from string import ascii_lowercase

WORD_LETTERS = 6


class Prompts:
    """Random words, as many as make about the tokens that are asked for.

    Words are drawn out of 300 million, so two prompts differ from their first word on, those of
    earlier runs included: a server's prefix cache has nothing to give. How many tokens a word is,
    is learned from the server's own counts.

    Args:
        random: where the words come from; seeded, they come again.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._tokens_per_word = 1.0

    def of(self, tokens: int) -> str:
        """A new prompt."""
        words = max(1, round(tokens / self._tokens_per_word))
        return " ".join(self._word() for _ in range(words))

    def learn(self, prompt: str, tokens: int) -> None:
        """Take the tokens that the server counted in a prompt as the rule from now on."""
        self._tokens_per_word = tokens / len(prompt.split())

    def _word(self) -> str:
        return "".join(self._random.choices(ascii_lowercase, k=WORD_LETTERS))
