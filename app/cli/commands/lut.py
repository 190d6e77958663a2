"""Define ``lut``: print the table from crops to size, tokens and latency."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.inputs import given_latency, parse_aspect, parse_size, read_profile, read_settings
from app.cli.options import Configuration, JsonOption, ProfileOption, grouped
from app.core.control.table import lookup_table
from app.core.latency.profile import Profile
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Size

if TYPE_CHECKING:
    from rich.table import Table

    from app.schemas.resize import LutAnswer, LutOptionAnswer, LutRowAnswer


Column = tuple[str, Callable[[tuple["LutRowAnswer", "LutOptionAnswer"]], str]]


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
    from app.cli.tables.plan_table import table_of

    about = f"a {size} image" if size else f"{aspect.width}:{aspect.height}" if aspect else "square"
    which = f"Every tiling; bold: nearest {about}" if every else f"The tiling nearest {about}"
    asked = size is not None or aspect is not None
    best = [(row, row.options[row.best]) for row in answer.rows]
    options = [(row, option) for row in answer.rows for option in row.options]
    table = table_of(
        f"{which}, for each number of crops",
        _columns(asked=asked, scaled=size is not None, timed=bool(answer.profile), narrow=narrow),
        options if every else best,
        # In a list of every tiling the best must stand out.
        lambda one: "bold" if every and one in best else None,
    )
    notes = {
        "–: no size of that aspect gets it": asked,
        "~: between measured numbers of crops": any(_between(option) for _, option in options),
    }
    table.caption = "; ".join(note for note, applies in notes.items() if applies)
    return table


def _columns(*, asked: bool, scaled: bool, timed: bool, narrow: bool) -> Iterator[Column]:
    """Yield headings with the text of their cells."""
    yield "Crops>", lambda one: str(one[0].target_crops)
    yield "Tiling", lambda one: f"{one[1].rows}x{one[1].cols}"
    yield "Canvas", lambda one: f"{one[1].width}x{one[1].height}"
    yield "Patch\ntokens>", lambda one: f"{one[1].tokens.patch:,}"
    yield "Prompt\ntokens>", lambda one: f"{one[1].tokens.prompt:,}"
    if not narrow:
        yield "Total\ncrops>", lambda one: str(one[0].total_crops)
        yield "Overlap>", lambda one: f"{one[1].overlap_ratio:.1%}"
        yield "Redun-\ndancy>", lambda one: f"{one[1].redundancy_ratio:.2f}"
    if asked:
        yield "Size", lambda one: f"{fit.width}x{fit.height}" if (fit := one[1].fit) else "–"
    if scaled:
        yield "Scale>", _scale
    if timed:
        yield "p50\nms>", lambda one: _ms(one[1], 50)
        yield "p95\nms>", lambda one: _ms(one[1], 95)


def _scale(one: tuple[LutRowAnswer, LutOptionAnswer]) -> str:
    fit = one[1].fit
    return "–" if fit is None or fit.scale is None else f"×{fit.scale:.3f}"


def _between(option: LutOptionAnswer) -> bool:
    return option.latency.basis == "interpolated"


def _ms(option: LutOptionAnswer, percentile: Literal[50, 95]) -> str:
    vision = option.latency.vision_ms
    if vision is None:
        return "–"
    return f"{'~' * _between(option)}{vision.p50 if percentile == 50 else vision.p95:.1f}"
