"""``measure``: how long this device takes, for each number of crops."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.arguments import JsonOption, MarginsOption, ModelOption, parse_counts
from app.cli.device_arguments import CheckpointOption, DeviceOption, DtypeOption, WarmupOption
from app.cli.files import check_result
from app.cli.inputs import effective_config, read_settings


def measure(
    ctx: typer.Context,
    counts: Annotated[
        str | None,
        typer.Option(
            metavar="COUNTS",
            help="Total crops, as in 1-13 or 1,5,9; by default up to the family's max crops + 1.",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Most timed passes of each; by default 7 on a CPU, 200 on a GPU.",
        ),
    ] = None,
    warmup: WarmupOption = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Time the way from the decoded image, too; always on a GPU."),
    ] = False,
    states: Annotated[
        bool,
        typer.Option(
            "--states", help="Also a fresh process, and silence of 1 and 10 s: takes minutes."
        ),
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(metavar="S", min=0, help="Seconds that it may take; as many rounds as fit."),
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    checkpoint: CheckpointOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep every pass that is saved, and add the counts and passes that it lacks.",
        ),
    ] = False,
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
    """Measure vision-token latency on this device, and save it as the profile that is used here.

    Without a checkpoint the weights are random: the latency is the real one, features would not be.
    """
    if compare is not None:
        _compare(ctx, compare, as_json=as_json)
        return
    wanted = parse_counts(counts) if counts else None
    settings = read_settings(device=device, dtype=dtype)
    config = effective_config(settings, model, None, overlap_margins, None)
    if output is not None:
        check_result(output, force=force, option="--output")
    # Late: torch takes seconds to import.
    from app.cli.latency import checkpoint_for
    from app.cli.measuring import Request, run
    from app.cli.output import console, print_json
    from app.cli.tables.profile import print_profile
    from app.core.latency.profile_file import profile_to_json
    from app.files import write_whole
    from app.schemas.profile import ProfileAnswer

    request = Request(
        family=config.family,
        overlap_margins=config.overlap_margins if overlap_margins else None,
        counts=wanted,
        repeats=repeats,
        warmup_s=warmup,
        full=full,
        states=states,
        budget_s=budget,
        checkpoint=checkpoint or checkpoint_for(config.family, settings),
        resume=resume,
    )
    profile, saved = run(request, settings)
    if output is not None:
        try:
            write_whole(output, profile_to_json(profile))
        except OSError as error:
            raise typer.BadParameter(
                f"{output} cannot be written: {error.strerror}", param_hint="--output"
            ) from None
    if as_json:
        print_json(ProfileAnswer.of(profile))
    else:
        print_profile(console(), ProfileAnswer.of(profile), [f for f in (saved, output) if f])


def _compare(ctx: typer.Context, files: tuple[Path, Path], *, as_json: bool) -> None:
    """Compare, unless something else was asked for, too, which would change nothing."""
    given = {name for name in ctx.params if _was_given(ctx, name)} - {"compare", "as_json"}
    if given:
        surplus = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given))
        raise typer.BadParameter(
            f"{surplus}: of no use where two profiles are compared", param_hint="--compare"
        )
    from app.cli.comparing import compare

    compare(files, as_json=as_json)


def _was_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
