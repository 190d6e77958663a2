"""Define ``lut``: print the table from crops to size, tokens and latency."""

from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from app.cli.inputs import parse_aspect, parse_size
from app.cli.options import Question, grouped
from app.cli.predictions import named_profile
from app.cli.tables.plan_table import Columns, heading, table_of
from app.core.control.table import lookup_table
from app.core.plan.geometry import Size
from app.schemas.resize import LutAnswer, LutOptionAnswer, LutRowAnswer, lut_csv


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
    question: Question,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the CSV of the HTTP call, with every tiling.")
    ] = False,
) -> None:
    """Print the table from a number of crops to the size, tokens and latency they cost."""
    if size is not None and aspect is not None:
        raise typer.BadParameter("give --size or --aspect, not both", param_hint="--aspect")
    if question.as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both", param_hint="--csv")
    settings, config = question.read()
    known = named_profile(question.profile, settings)
    table = lookup_table(config, image=size, aspect=aspect)
    answer = LutAnswer.of(config, table, known.profile, known.latency)
    if as_csv:
        typer.echo(lut_csv(answer), nl=False)
        return

    def tables(out: Console, answer: LutAnswer) -> None:
        out.print(heading(answer.model, answer.config))
        if (told := answer.profile) is not None:
            conditions = f"{told.device}, {told.dtype}, {told.weights} weights"
            out.print(f"latency: {conditions}, {told.measured_at}")
        out.print()
        out.print(_table(answer, size, aspect, every, narrow=out.width < 100))

    question.show(answer, tables)


def _table(
    answer: LutAnswer, size: Size | None, aspect: Size | None, every: bool, *, narrow: bool
) -> Table:
    """Make the table; a ``narrow`` one leaves out columns that follow from the tiling."""
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


def _columns(
    *, asked: bool, scaled: bool, timed: bool, narrow: bool
) -> Columns[tuple[LutRowAnswer, LutOptionAnswer]]:
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
