"""Define ``lut``: print the table from crops to size, tokens and latency."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.inputs import given_latency, read_profile, read_settings
from app.cli.options import (
    Configuration,
    JsonOption,
    ProfileOption,
    grouped,
    parse_aspect,
    parse_size,
)
from app.core.control.table import lookup_table
from app.core.latency.profile import Profile
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size

if TYPE_CHECKING:
    from rich.table import Table

    from app.schemas.resize import LutAnswer, LutOptionAnswer, LutRowAnswer


@grouped
def lut(
    size: Annotated[
        Size | None,
        typer.Option(metavar="WIDTHxHEIGHT", parser=parse_size, help="Make it about one image."),
    ] = None,
    aspect: Annotated[
        Size | None,
        typer.Option(metavar="WIDTH:HEIGHT", parser=parse_aspect, help="Make it about an aspect."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="List every tiling, not only the best of each count.")
    ] = False,
    *,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the CSV of the HTTP call, with every tiling.")
    ] = False,
) -> None:
    """Print the table from a number of crops to the size, tokens and latency they cost."""
    from app.cli.tables.plan_table import heading
    from app.cli.terminal import console, print_json

    if size is not None and aspect is not None:
        raise typer.BadParameter("give --size or --aspect, not both", param_hint="--aspect")
    if as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both", param_hint="--csv")
    settings = read_settings()
    config = configuration.effective(settings)
    answer = _table(config, size, aspect, read_profile(profile, settings))
    if as_json:
        print_json(answer)
        return
    if as_csv:
        from app.schemas.lut_csv import lut_csv

        typer.echo(lut_csv(answer), nl=False)
        return
    out = console()
    out.print(heading(answer.model, answer.config))
    if answer.profile is not None:
        told = answer.profile
        weights = f"{told.weights} weights"
        out.print(f"latency: {told.device}, {told.dtype}, {weights}, {told.measured_at}")
    out.print()
    out.print(_rich_table(answer, size, aspect, every, narrow=out.width < 100))


def _table(
    config: CropConfig, size: Size | None, aspect: Size | None, profile: Profile | None
) -> LutAnswer:
    from app.schemas.resize import LutAnswer

    table = lookup_table(config, image=size, aspect=aspect)
    return LutAnswer.of(config, table, profile, partial(given_latency, profile))


def _rich_table(
    answer: LutAnswer, size: Size | None, aspect: Size | None, every: bool, *, narrow: bool
) -> Table:
    """Make the table; a ``narrow`` one leaves out columns that follow from the tiling."""
    from app.cli.tables.plan_table import columns

    about = f"a {size} image" if size else f"{aspect.width}:{aspect.height}" if aspect else "square"
    asked = size is not None or aspect is not None
    timed = answer.profile is not None
    which = f"Every tiling; bold: nearest {about}" if every else f"The tiling nearest {about}"
    table = columns(
        f"{which}, for each number of crops",
        *("Crops>", "Tiling", "Canvas", "Patch\ntokens>", "Prompt\ntokens>"),
        *(() if narrow else ("Total\ncrops>", "Overlap>", "Redun-\ndancy>")),
        *(("Size",) if asked else ()),
        *(("Scale>",) if size else ()),
        *(("p50\nms>", "p95\nms>") if timed else ()),
    )
    interpolated = any(
        option.latency.basis == "interpolated" for row in answer.rows for option in row.options
    )
    table.caption = "; ".join(
        told
        for told, shown in (
            ("–: no size of that aspect gets it", asked),
            ("~: between measured numbers of crops", interpolated),
        )
        if shown
    )
    for row in answer.rows:
        for index, option in enumerate(row.options):
            best = index == row.best
            if best or every:
                # One row of numbers is read along; with all of them the best must stand out.
                style = "bold" if best and every else None
                cells = _cells(row, option, narrow, size, aspect, timed)
                table.add_row(*cells, style=style)
    return table


def _cells(
    row: LutRowAnswer,
    option: LutOptionAnswer,
    narrow: bool,
    size: Size | None,
    aspect: Size | None,
    timed: bool,
) -> list[str]:
    fit, vision = option.fit, option.latency.vision_ms
    cells = [
        str(row.target_crops),
        f"{option.rows}x{option.cols}",
        f"{option.width}x{option.height}",
        f"{option.tokens.patch:,}",
        f"{option.tokens.prompt:,}",
    ]
    if not narrow:
        cells += [
            str(row.total_crops),
            f"{option.overlap_ratio:.1%}",
            f"{option.redundancy_ratio:.2f}",
        ]
    if size or aspect:
        cells.append(f"{fit.width}x{fit.height}" if fit else "–")
    if size:
        cells.append(f"×{fit.scale:.3f}" if fit and fit.scale is not None else "–")
    if timed:
        about = "~" if option.latency.basis == "interpolated" else ""
        times = [f"{about}{ms:.1f}" for ms in (vision.p50, vision.p95)] if vision else ["–", "–"]
        cells += times
    return cells
