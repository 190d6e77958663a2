"""Register every command, and turn errors into messages and exit codes.

Errors go to stderr: words and a table for people, the problem object of HTTP for programs.
"""

import sys
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from app import __version__
from app.cli.commands.experiment import experiment
from app.cli.commands.lut import lut
from app.cli.commands.measure import measure
from app.cli.commands.overlay import overlay
from app.cli.commands.plan import analyze, methods, plan
from app.cli.commands.prefill import prefill
from app.cli.commands.profile import profile
from app.cli.commands.resize import adapt, resize
from app.cli.commands.serve import serve
from app.cli.tables.plan_table import table_of
from app.cli.terminal import console, printable
from app.core import errors
from app.report.errors import DatasetError

USAGE, FAILURE = 2, 1
_UNPROCESSABLE = 422

_FAILURES = (
    errors.EncoderError,
    errors.InvalidProfile,
    errors.ModelServerError,
    errors.QueueFull,
    errors.DeadlineExceeded,
)


class Commands(TyperGroup):
    """Run a command, and turn its error into a message and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # Typer hides click's
        """Run the named command."""
        as_json = "--json" in ctx.args  # also for unreadable arguments
        try:
            return super().invoke(ctx)
        except errors.CropPlannerError as error:
            print_problem(error, as_json=as_json)
            raise typer.Exit(exit_code(error)) from None
        except typer.TyperException as error:
            if not as_json:
                raise  # Typer shows it with the usage
            _print_json(
                _UNPROCESSABLE,
                slug="invalid-parameters",
                title="Parameters are missing, unknown or out of range",
                detail=error.format_message(),
            )
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=Commands,
    help="Plan, measure and control the cost of an image for a Molmo model.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    plan,
    methods,
    analyze,
    overlay,
    resize,
    adapt,
    lut,
    measure,
    profile,
    experiment,
    prefill,
    serve,
):
    app.command()(command)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"crop-planner {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Plan, measure and control the cost of an image for a Molmo model.

    Commands read the settings of the service from the environment, prefix CROP_PLANNER_.
    """


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


def _print_json(status: int, **members: Any) -> None:
    from app.http.problems import problem

    print(bytes(problem(status, **members).body).decode(), file=sys.stderr)
