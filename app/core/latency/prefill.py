"""The language model's prefill: what the tokens of a prompt cost until its first answer token."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.errors import InvalidConfig

MOST_MS = 1e9
"""Largest cost that is taken, 11 days: sums of such costs are still finite."""


@dataclass(frozen=True, slots=True)
class PrefillCost:
    """``ms_per_token`` for each token of the prompt, and ``base_ms`` for any prompt.

    The base may be below 0: times that rise faster than a line leave it there.

    Raises:
        InvalidConfig: a slope below 0, or a number that is none or beyond ``MOST_MS``.
    """

    ms_per_token: float
    base_ms: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.ms_per_token <= MOST_MS:
            raise _refused("prefill_ms_per_token", f"from 0 to {MOST_MS:g}", self.ms_per_token)
        if not -MOST_MS <= self.base_ms <= MOST_MS:
            raise _refused("prefill_base_ms", f"from -{MOST_MS:g} to {MOST_MS:g}", self.base_ms)

    def ms(self, prompt_tokens: int) -> float:
        """Time until the first token of the answer, in ms; never below 0."""
        return max(0.0, self.ms_per_token * prompt_tokens + self.base_ms)


def asked_prefill(
    ms_per_token: float | None, base_ms: float | None, otherwise: PrefillCost | None
) -> PrefillCost | None:
    """The cost that a request gives, or what holds ``otherwise``.

    Raises:
        InvalidConfig: a base alone, or as :class:`PrefillCost` says.
    """
    if ms_per_token is not None:
        return PrefillCost(ms_per_token, base_ms or 0.0)
    if base_ms is not None:
        raise InvalidConfig(
            "prefill_base_ms needs prefill_ms_per_token",
            parameter="prefill_base_ms",
            actual=str(base_ms),
        )
    return otherwise


def _refused(parameter: str, must_be: str, value: float) -> InvalidConfig:
    # As text, because JSON has no infinity.
    return InvalidConfig(
        f"{parameter} must be {must_be}, not {value}", parameter=parameter, actual=str(value)
    )
