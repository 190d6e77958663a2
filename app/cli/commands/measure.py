"""Define ``measure``: measure this device's latency for each number of crops."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.inputs import parse_counts
from app.cli.options import (
    Configuration,
    JsonOption,
    MarginsOption,
    Measurement,
    ModelOption,
    grouped,
)
from app.cli.outputs import check_result, write_result
from app.cli.tables.profile_table import print_comparison, print_profile
from app.cli.terminal import console, print_json
from app.core.latency.comparison import compare_profiles
from app.core.latency.profile_file import profile_to_json
from app.profiles import load_profile
from app.schemas.profile import ProfileAnswer, ProfileComparisonAnswer


@grouped
def measure(
    ctx: typer.Context,
    asked: Measurement,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write the profile here, too."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file.")] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A.json B.json",
            exists=True,
            dir_okay=False,
            help="Measure nothing: compare two profiles, as `--output` wrote them.",
        ),
    ] = None,
    model: ModelOption = None,
    overlap_margins: MarginsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the vision-token latency of this device, and save the device profile.

    Without a checkpoint the weights are random: the latency is real, the features are not.
    """
    if compare is not None:
        _check_alone(ctx)
        _compare(compare, as_json=as_json)
        return
    counts = parse_counts(asked.counts) if asked.counts else None
    configuration = Configuration(model, None, overlap_margins)
    settings, config = configuration.read(device=asked.device, dtype=asked.dtype)
    if output is not None:
        check_result(output, force=force, option="--output")
    from app.cli.encoder import measure_device  # late: torch takes seconds to import

    profile, saved = measure_device(asked, counts, config, settings)
    if output is not None:
        write_result(output, profile_to_json(profile), option="--output")
    if as_json:
        print_json(ProfileAnswer.of(profile))
    else:
        print_profile(console(), ProfileAnswer.of(profile), [f for f in (saved, output) if f])


def _check_alone(ctx: typer.Context) -> None:
    """Refuse options of a measurement beside ``--compare``; they would change nothing."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    on_command_line = {name for name, one in sources.items() if one and one.name == "COMMANDLINE"}
    if given := on_command_line - {"compare", "as_json"}:
        surplus = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given))
        raise typer.BadParameter(
            f"{surplus}: of no use where two profiles are compared", param_hint="--compare"
        )


def _compare(files: tuple[Path, Path], *, as_json: bool) -> None:
    """Compare the profile in the first file with the profile in the second.

    Raises:
        InvalidProfile: a file is no profile; the error names the file.
        typer.BadParameter: the profiles have no number of crops in common.
    """
    a, b = (load_profile(file) for file in files)
    answer = ProfileComparisonAnswer.of(compare_profiles(a, b))
    if not answer.counts:
        told = "no number of crops was measured in both profiles"
        raise typer.BadParameter(told, param_hint="--compare")
    if as_json:
        print_json(answer)
    else:
        print_comparison(console(), answer, files)
