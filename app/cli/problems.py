"""Errors on stderr: words and a table for people, the problem object of HTTP for programs."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.text import Text

from app.cli.output import console, printable
from app.cli.tables.plan import columns
from app.core import errors

USAGE, FAILURE = 2, 1
PARTLY = 3
"""Done and written, but not for all images: what was skipped is on stderr."""

_FAILURES = (
    errors.EncoderError,
    errors.InvalidProfile,
    errors.ModelServerError,
    errors.QueueFull,
    errors.DeadlineExceeded,
)


def exit_code(error: errors.CropPlannerError) -> int:
    """2 where another command or image would do, 1 where this one could work another time."""
    if isinstance(error, errors.EncoderMismatch):
        return USAGE
    return FAILURE if isinstance(error, _FAILURES) else USAGE


def print_problem(error: errors.CropPlannerError, *, as_json: bool) -> None:
    """Say what was wrong and what would work."""
    if as_json:
        # Imported late: it brings the web stack, which nobody needs for a plan.
        from app.http.problems import STATUS, problem

        response = problem(
            STATUS[type(error)],
            slug=error.slug,
            title=error.title,
            detail=error.detail,
            **error.facts,
        )
        print(bytes(response.body).decode(), file=sys.stderr)
        return
    out = console(stderr=True)
    # A detail may name a file, and a file any characters.
    out.print(Text.assemble((f"{error.title}: ", "bold red"), printable(error.detail)))
    reachable = error.facts.get("reachable")
    if reachable:
        _print_reachable(reachable)


def print_usage_problem(error: typer.TyperException) -> None:
    """The problem object of parameters that cannot be read, as HTTP names it."""
    from app.http.problems import problem

    response = problem(
        422,
        slug="invalid-parameters",
        title="Parameters are missing, unknown or out of range",
        detail=error.format_message(),
    )
    print(bytes(response.body).decode(), file=sys.stderr)


def _print_reachable(reachable: list[dict[str, Any]]) -> None:
    table = columns("What can be reached", "Crops>", "Tiling", "Prompt tokens>", "By")
    for row in reachable:
        table.add_row(
            str(row["crops"]), row["tiling"], f"{row['prompt_tokens']:,}", ", ".join(row["modes"])
        )
    console(stderr=True).print(table)
