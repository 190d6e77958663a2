"""Define ``methods``: compare the four ways to change the cost of an image."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.inputs import given_latency, read_profile, read_settings
from app.cli.options import Configuration, JsonOption, ProfileOption, SizeArgument, grouped
from app.core.control.methods import compare_methods
from app.core.plan.plan import make_plan

if TYPE_CHECKING:
    from rich.table import Table

    from app.schemas.methods import MethodRowAnswer, MethodsAnswer


@grouped
def methods(
    size: SizeArgument,
    target_crops: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Mark each method's best of at most N grid crops."),
    ] = None,
    target_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="T", help="Mark each method's best of at most T tokens."),
    ] = None,
    *,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the four ways to change what a size costs: crops, resizing, margins, crop side."""
    from app.cli.tables.plan_table import facts, heading
    from app.cli.terminal import console, print_json
    from app.schemas.methods import MethodsAnswer

    settings = read_settings()
    config = configuration.effective(settings)
    comparison = compare_methods(
        make_plan(size, config), target_crops=target_crops, target_tokens=target_tokens
    )
    timings = read_profile(profile, settings)
    answer = MethodsAnswer.of(comparison, partial(given_latency, timings))
    if as_json:
        print_json(answer)
        return
    out = console()
    out.print(heading(answer.model, answer.config))
    out.print()
    out.print(_table(answer, timed=timings is not None, wide=out.width >= 128))
    out.print()
    out.print(facts([(told.method, told.summary) for told in answer.methods]))


def _table(answer: MethodsAnswer, *, timed: bool, wide: bool) -> Table:
    """List one setting a row; only a ``wide`` terminal has room for all columns."""
    from app.cli.tables.plan_table import columns

    table = columns(
        f"Four ways to another cost for a {answer.image.width}x{answer.image.height} image",
        *("Method", "Setting>", "Tiling"),
        *(("Total\ncrops>", "Overlap>", "Scale>") if wide else ()),
        "Prompt\ntokens>",
        *(("Ratio>", "GFLOP>", "Ratio>") if wide else () if timed else ("GFLOP>",)),
        *(("p50\nms>", "p95\nms>") if timed else ()),
        *("Needs", ""),
    )
    table.caption = "*: the released weights were not trained so, quality is unknown"
    for _, rows in groupby(answer.rows, key=lambda row: row.method):
        for row in rows:
            style = "bold green" if row.current else "bold" if row.best else None
            table.add_row(*_cells(row, timed, wide), style=style)
        table.add_section()
    return table


def _cells(row: MethodRowAnswer, timed: bool, wide: bool) -> list[str]:
    vision = row.latency.vision_ms
    cells = [
        row.method,
        row.setting if row.as_trained else f"{row.setting}*",
        f"{row.tiling.rows}x{row.tiling.cols}",
    ]
    if wide:
        scale = min(row.scale_x, row.scale_y)
        cells += [str(row.tiling.total_crops), f"{row.overlap_ratio:.1%}", f"×{scale:.3f}"]
    cells.append(f"{row.tokens.prompt:,}")
    gflop = f"{row.gflop:,.0f}"
    if wide:
        cells += [f"{row.prompt_tokens_ratio:.2f}", gflop, f"{row.gflop_ratio:.2f}"]
    elif not timed:
        cells.append(gflop)
    if timed:
        cells += [f"{vision.p50:.1f}", f"{vision.p95:.1f}"] if vision else ["–", "–"]
    return [*cells, row.needs, "best" if row.best else "current" if row.current else ""]
