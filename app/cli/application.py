"""Register every command, and turn errors into messages and exit codes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app import __version__
from app.cli.commands.experiment import experiment
from app.cli.commands.lut import lut
from app.cli.commands.measure import measure
from app.cli.commands.methods import methods
from app.cli.commands.overlay import overlay
from app.cli.commands.plan import analyze, plan
from app.cli.commands.prefill import prefill
from app.cli.commands.profile import profile
from app.cli.commands.resize import adapt, resize
from app.cli.commands.serve import serve
from app.cli.problems import exit_code, print_problem, print_usage_problem
from app.core.errors import CropPlannerError


class Commands(TyperGroup):
    """Run a command, and turn its error into a message and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # Typer hides click's
        """Run the named command."""
        as_json = "--json" in ctx.args  # also for unreadable arguments
        try:
            return super().invoke(ctx)
        except CropPlannerError as error:
            print_problem(error, as_json=as_json)
            raise typer.Exit(exit_code(error)) from None
        except typer.TyperException as error:
            if not as_json:
                raise  # Typer shows it with the usage
            print_usage_problem(error)
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
