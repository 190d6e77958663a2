"""A measured prefill as a table, and as the settings it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.tables.plan import columns
from app.cli.tables.profile import interval, milliseconds

if TYPE_CHECKING:
    from app.schemas.prefill import PrefillAnswer


def print_prefill(out: Console, answer: PrefillAnswer) -> None:
    """Print what was measured, the line through it, what speaks against it, and the settings."""
    out.print(Text.assemble((answer.model, "bold"), f" at {answer.url}{answer.path}"))
    out.print()
    out.print(_lengths(answer))
    out.print()
    out.print(_line(answer))
    if answer.doubt is not None:
        out.print(f"in doubt: {answer.doubt}", style="yellow")
    if answer.cached_tokens:
        out.print(
            f"the server had up to {answer.cached_tokens:,} tokens of a prompt in its cache "
            "(its chat template, if any); they cost nothing and are counted all the same",
            style="yellow",
        )
    out.print()
    for name, value in answer.settings.items():
        out.print(f"export {name}={value}", style="bold green", soft_wrap=True)


def _lengths(answer: PrefillAnswer) -> Table:
    table = columns(
        "Time to the first token, ms", *("Prompt\ntokens>", "p50>", "95 %>", "Line>", "Off>")
    )
    for one in answer.lengths:
        table.add_row(
            f"{one.tokens:,.0f}",
            milliseconds(one.ms.p50),
            interval(one.ms),
            milliseconds(one.line_ms),
            f"{one.off:+.1%}",
        )
    return table


def _line(answer: PrefillAnswer) -> str:
    return (
        f"{answer.ms_per_token:.4g} ms a token{_within(answer.ms_per_token_interval)} and "
        f"{answer.base_ms:.4g} ms besides{_within(answer.base_ms_interval)}; R² {answer.r2:.4f}; a "
        f"length left out of the fit is missed by {answer.leave_one_out:.1%} at most"
    )


def _within(limits: tuple[float, float] | None) -> str:
    return "" if limits is None else f" ({limits[0]:.4g} to {limits[1]:.4g})"
