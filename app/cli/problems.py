"""Print errors on stderr: words and a table for people, the problem object of HTTP for programs."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.text import Text

from app.cli.tables.plan_table import table_of
from app.cli.terminal import console, printable
from app.core import errors
from app.report.errors import DatasetError

USAGE, FAILURE = 2, 1
PARTLY = 3
"""Exit with this code after all is written and some images were skipped."""

_UNPROCESSABLE = 422

_FAILURES = (
    errors.EncoderError,
    errors.InvalidProfile,
    errors.ModelServerError,
    errors.QueueFull,
    errors.DeadlineExceeded,
)


def exit_code(error: errors.CropPlannerError) -> int:
    """Return 2 if another command or image would work, 1 if the same could work another time."""
    if isinstance(error, errors.EncoderMismatch):
        return USAGE
    return FAILURE if isinstance(error, _FAILURES) else USAGE


def status_of(error: errors.CropPlannerError) -> int:
    """Return the status that HTTP gives an error; 422 for an error of a data set."""
    # Late: the table brings the web stack, and a plan needs none of it.
    from app.http.problems import STATUS

    return _UNPROCESSABLE if isinstance(error, DatasetError) else STATUS[type(error)]


def print_problem(error: errors.CropPlannerError, *, as_json: bool) -> None:
    """Print the reason of an error, and the values that would work."""
    if as_json:
        _print_json(
            status_of(error),
            slug=error.slug,
            title=error.title,
            detail=error.detail,
            **error.facts,
        )
        return
    out = console(stderr=True)
    # A detail may name a file, and a file's name may hold any character.
    out.print(Text.assemble((f"{error.title}: ", "bold red"), printable(error.detail)))
    if reachable := error.facts.get("reachable"):
        out.print(
            table_of(
                "What can be reached",
                (
                    ("Crops>", lambda row: str(row["crops"])),
                    ("Tiling", lambda row: row["tiling"]),
                    ("Prompt tokens>", lambda row: f"{row['prompt_tokens']:,}"),
                    ("By", lambda row: ", ".join(row["modes"])),
                ),
                reachable,
            )
        )


def print_usage_problem(error: typer.TyperException) -> None:
    """Print unreadable parameters as the problem object of HTTP."""
    _print_json(
        _UNPROCESSABLE,
        slug="invalid-parameters",
        title="Parameters are missing, unknown or out of range",
        detail=error.format_message(),
    )


def _print_json(status: int, **members: Any) -> None:
    from app.http.problems import problem

    print(bytes(problem(status, **members).body).decode(), file=sys.stderr)
