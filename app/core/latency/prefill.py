"""Compute the cost of a language model's prefill, and fit it to measured times."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from app.core.errors import InvalidConfig, NoPrefillLine
from app.core.latency.timings import Percentiles
from app.core.statistics import FEWEST, Line, fit_line, median_interval

MOST_MS = 1e9
"""No cost may be larger (11 days): sums of such costs are still finite."""

FEWEST_LENGTHS = 3
"""A fit needs this number of lengths: two points always have a line."""

WELL_FITTED = 0.1
"""A line is in doubt above this error at a length left out of the fit, as a share."""

WELL_EXPLAINED = 0.9
"""A line is in doubt below this explained share of the variance."""

ROUNDING = 1e-9
"""Rounding alone makes equal times rise by up to this share."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PrefillCost:
    """Model the time to the first answer token: ``ms_per_token`` a prompt token plus ``base_ms``.

    The base may be below 0, as for times above a line's growth.

    Raises:
        InvalidConfig: a slope below 0, a number beyond ``MOST_MS``, or not a number.
    """

    ms_per_token: float
    base_ms: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.ms_per_token <= MOST_MS:
            raise _refused("prefill_ms_per_token", f"from 0 to {MOST_MS:g}", self.ms_per_token)
        if not -MOST_MS <= self.base_ms <= MOST_MS:
            raise _refused("prefill_base_ms", f"from -{MOST_MS:g} to {MOST_MS:g}", self.base_ms)

    def ms(self, prompt_tokens: int) -> float:
        """Return the time to the first token of the answer, in ms, at least 0."""
        return max(0.0, self.ms_per_token * prompt_tokens + self.base_ms)


def asked_prefill(
    ms_per_token: float | None, base_ms: float | None, otherwise: PrefillCost | None
) -> PrefillCost | None:
    """Return the cost given by a request, or ``otherwise``.

    Raises:
        InvalidConfig: a base without a slope, or an impossible :class:`PrefillCost`.
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
    # The value goes as text: JSON has no infinity.
    return InvalidConfig(
        f"{parameter} must be {must_be}, not {value}", parameter=parameter, actual=str(value)
    )


@dataclass(frozen=True, slots=True)
class PrefillPoint:
    """Hold one prompt's tokens by the server's count, and its ms to the first token."""

    tokens: int
    ms: float


@dataclass(frozen=True, slots=True)
class PrefillLength:
    """Summarise the prompts of one length: median tokens, times, and the time on the line."""

    tokens: float
    ms: Percentiles
    line_ms: float

    @property
    def off(self) -> float:
        """Return the line's distance above the median as a share of it; negative below."""
        return self.line_ms / self.ms.p50 - 1


@dataclass(frozen=True, slots=True)
class PrefillFit:
    """Describe the line through the medians of all lengths, and the grounds to trust it.

    Attributes:
        cost: the line; its slope is above 0.
        r2: the explained share of the medians' variance.
        leave_one_out: the largest error over lengths predicted from the others, as a share of the
            median. The shortest and longest lengths are extrapolated.
        ms_per_token_interval, base_ms_interval: enclose the medians of the rounds' own lines with
            95 % confidence, and always the cost; None below ``FEWEST`` rounds. The intervals
            contain the disturbances of whole rounds.
        lengths: by rising tokens.
        rounds: every measured point.
    """

    cost: PrefillCost
    r2: float
    leave_one_out: float
    ms_per_token_interval: Interval | None
    base_ms_interval: Interval | None
    lengths: tuple[PrefillLength, ...]
    rounds: tuple[tuple[PrefillPoint, ...], ...]

    @classmethod
    def of(cls, rounds: Sequence[Sequence[PrefillPoint]]) -> Self:
        """Fit a line to rounds of the same lengths in the same order.

        Points measured only once form a single round.

        Raises:
            NoPrefillLine: too few lengths, or times not rising with the tokens.
            ValueError: no round, rounds of different lengths, or times (ms) not above 0.
        """
        columns = _columns(rounds)
        tokens = [statistics.median(point.tokens for point in column) for column in columns]
        medians = [statistics.median(point.ms for point in column) for column in columns]
        _check_lengths(tokens)
        line = fit_line(tokens, medians)
        slopes, bases = _intervals(rounds, line) if len(rounds) >= FEWEST else (None, None)
        _check_slope(line, slopes, tokens, medians)
        cost = PrefillCost(line.slope, line.intercept)
        return cls(
            cost=cost,
            r2=line.r2,
            leave_one_out=max(_left_out_errors(tokens, medians)),
            ms_per_token_interval=slopes,
            base_ms_interval=bases,
            lengths=tuple(
                PrefillLength(
                    of_length,
                    Percentiles.of([point.ms for point in column]),
                    line.slope * of_length + line.intercept,
                )
                for of_length, column in zip(tokens, columns, strict=True)
            ),
            rounds=tuple(tuple(one) for one in rounds),
        )

    @property
    def doubt(self) -> str | None:
        """Tell the reason to doubt the line, or None."""
        if self.leave_one_out <= WELL_FITTED and self.r2 >= WELL_EXPLAINED:
            return None
        missed = (
            f"R² is {self.r2:.2f}, and a length left out of the fit is missed by "
            f"{self.leave_one_out:.0%}"
        )
        if len(self.rounds) < FEWEST:
            return f"{missed}; fewer than {FEWEST} rounds cannot tell steps from noise"
        # One interval of 95 % misses its median now and then; two seldom do.
        beside = [
            one for one in self.lengths if not one.ms.p50_low <= one.line_ms <= one.ms.p50_high
        ]
        if len(beside) < 2:
            return f"{missed}: noise, as the times of each length vary as much; measure more rounds"
        where = ", ".join(f"{one.tokens:,.0f}" for one in beside)
        return (
            f"{missed}: steps or a bend, as the times at {where} tokens are beside it by more than "
            "they vary; measure only lengths near those of your prompts"
        )


def _columns(rounds: Sequence[Sequence[PrefillPoint]]) -> list[tuple[PrefillPoint, ...]]:
    """Collect the points of each length, by rising tokens."""
    if not rounds:
        raise ValueError("a fit needs at least one round")
    columns = list(zip(*rounds, strict=True))
    if any(point.ms <= 0 for column in columns for point in column):
        raise ValueError("a fit needs times above 0")
    return sorted(columns, key=lambda column: statistics.median(point.tokens for point in column))


def _check_lengths(tokens: Sequence[float]) -> None:
    lengths = sorted(set(tokens))
    if len(lengths) < FEWEST_LENGTHS:
        told = ", ".join(f"{length:,.0f}" for length in lengths) or "none"
        raise NoPrefillLine(
            f"a line needs prompts of {FEWEST_LENGTHS} lengths at least; measured were {told} "
            "tokens",
            limit=FEWEST_LENGTHS,
            actual=len(lengths),
        )


def _check_slope(
    line: Line, slopes: Interval | None, tokens: Sequence[float], medians: Sequence[float]
) -> None:
    least = slopes[0] if slopes else line.slope
    if least * (tokens[-1] - tokens[0]) > ROUNDING * max(medians):
        return
    interval = f" (95 % {slopes[0]:.4g} to {slopes[1]:.4g})" if slopes else ""
    points = ", ".join(f"{ms:.4g}" for ms in medians)
    raise NoPrefillLine(
        f"the times do not rise with the prompt: {line.slope:.4g} ms a token{interval}; medians "
        f"{points} ms at {', '.join(f'{length:,.0f}' for length in tokens)} tokens. All of them "
        "are on one step of a staircase, or noise hides the slope: longer prompts or more rounds "
        "may show it",
        ms_per_token=line.slope,
    )


def _intervals(rounds: Sequence[Sequence[PrefillPoint]], line: Line) -> tuple[Interval, Interval]:
    """Compute intervals of slope and intercept from the rounds' own lines.

    Only rounds are independent: a disturbance of one round moves all of its points. The line of the
    medians may lie outside of the interval and is then its limit.
    """
    lines = [_line_of(one) for one in rounds]
    slopes = median_interval([one.slope for one in lines])
    bases = median_interval([one.intercept for one in lines])
    return _with(slopes, line.slope), _with(bases, line.intercept)


def _line_of(points: Sequence[PrefillPoint]) -> Line:
    return fit_line([point.tokens for point in points], [point.ms for point in points])


def _with(interval: Interval, value: float) -> Interval:
    return min(interval[0], value), max(interval[1], value)


def _left_out_errors(tokens: Sequence[float], medians: Sequence[float]) -> Iterator[float]:
    for left_out, (length, ms) in enumerate(zip(tokens, medians, strict=True)):
        xs, ys = ([*of[:left_out], *of[left_out + 1 :]] for of in (tokens, medians))
        line = fit_line(xs, ys)
        yield abs(line.slope * length + line.intercept - ms) / ms
