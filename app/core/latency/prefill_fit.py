"""A line over the tokens of prompts, fitted to times until the first token of their answers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from app.core.errors import NoPrefillLine
from app.core.latency.prefill import PrefillCost
from app.core.latency.timings import Percentiles
from app.core.statistics import FEWEST, Line, fit_line, median_interval

FEWEST_LENGTHS = 3
"""Through two points there always is a line: only a third one can show that it is none."""

WELL_FITTED = 0.1
"""A line that misses a length it was not fitted to by a larger share than this is in doubt."""

WELL_EXPLAINED = 0.9
"""So is one that explains less of the variance than this: times that hardly rise are noise."""

ROUNDING = 1e-9
"""A rise by a smaller share of the times is what rounding leaves of equal ones."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PrefillPoint:
    """One prompt: its tokens as the server counted them, and ms until its first token came."""

    tokens: int
    ms: float


@dataclass(frozen=True, slots=True)
class PrefillLength:
    """Prompts of one length: their median tokens and times, and what the line says of them."""

    tokens: float
    ms: Percentiles
    line_ms: float

    @property
    def off(self) -> float:
        """How far the line lies above the median, as a share of it; below 0 where it is under."""
        return self.line_ms / self.ms.p50 - 1


@dataclass(frozen=True, slots=True)
class PrefillFit:
    """The line through the medians of every length, and how far it can be trusted.

    Attributes:
        cost: the line; its slope is above 0.
        r2: the share of the medians' variance that it explains.
        leave_one_out: its largest error, as a share of the median, over the lengths that were each
            left out and predicted from the others. The shortest and longest are extrapolated.
        ms_per_token_interval, base_ms_interval: hold the medians of the rounds' own lines with
            95 % confidence, and the cost's; None below ``FEWEST`` rounds. What slows a whole round
            down is in them.
        lengths: by rising tokens.
        rounds: every point that was measured.
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
        """From rounds that each measured the same lengths once, in the same order.

        Points that were measured once are one round of them all.

        Raises:
            NoPrefillLine: too few lengths, or times that do not rise with the tokens.
            ValueError: no round, rounds of different lengths, or times (ms) that are not above 0.
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
        """Why the line should not be relied on; None where nothing speaks against it."""
        if self.leave_one_out <= WELL_FITTED and self.r2 >= WELL_EXPLAINED:
            return None
        missed = (
            f"R² is {self.r2:.2f}, and a length left out of the fit is missed by "
            f"{self.leave_one_out:.0%}"
        )
        if len(self.rounds) < FEWEST:
            return f"{missed}; fewer than {FEWEST} rounds cannot tell steps from noise"
        # An interval of 95 % misses its median now and then; two of them seldom do.
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
    """The points of each length, by rising tokens."""
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
    """Of slope and intercept: order statistics of the rounds' own lines.

    Rounds are what is independent here: what slowed one of them down slowed all its points. The
    line of the medians is not the median of the lines: where it lies outside, it is the limit.
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
