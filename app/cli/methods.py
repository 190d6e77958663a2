"""``methods``: the four ways to change what an image costs, side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.arguments import (
    CropSizeOption,
    JsonOption,
    MarginsOption,
    MaxCropsOption,
    ModelOption,
    ProfileOption,
    parse_size,
)
from app.cli.inputs import effective_config, given_latency, read_profile, read_settings
from app.core.geometry import Size
from app.core.methods import compare_methods
from app.core.plan import make_plan

if TYPE_CHECKING:
    from rich.table import Table

    from app.schemas.methods import MethodRowAnswer, MethodsAnswer


def methods(
    size: Annotated[
        Size, typer.Argument(metavar="WIDTHxHEIGHT", parser=parse_size, help="Size in px.")
    ],
    target_crops: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Mark each method's best of at most N grid crops."),
    ] = None,
    target_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="T", help="Mark each method's best of at most T tokens."),
    ] = None,
    model: ModelOption = None,
    max_crops: MaxCropsOption = None,
    overlap_margins: MarginsOption = None,
    crop_size_px: CropSizeOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the four ways to change what a size costs: crops, resizing, margins, crop side."""
    from app.cli.output import console, print_json
    from app.cli.tables import facts, heading
    from app.schemas.methods import MethodsAnswer

    settings = read_settings()
    config = effective_config(settings, model, max_crops, overlap_margins, crop_size_px)
    comparison = compare_methods(
        make_plan(size, config), target_crops=target_crops, target_tokens=target_tokens
    )
    answer = MethodsAnswer.of(comparison, partial(given_latency, read_profile(profile, settings)))
    if as_json:
        print_json(answer)
        return
    out = console()
    out.print(heading(answer.model, answer.config))
    out.print()
    out.print(_table(answer, timed=profile is not None, narrow=out.width < 110))
    out.print()
    out.print(facts([(told.method, told.summary) for told in answer.methods]))


def _table(answer: MethodsAnswer, *, timed: bool, narrow: bool) -> Table:
    """``narrow`` leaves out what is not cost, so that no column is cut."""
    from app.cli.tables import columns

    table = columns(
        f"Four ways to another cost for a {answer.image.width}x{answer.image.height} image",
        *("Method", "Setting>", "Tiling", "Total\ncrops>", "Prompt\ntokens>", "Ratio>"),
        *("GFLOP>", "Ratio>"),
        *(() if narrow else ("Overlap>", "Scale>")),
        *(("p50\nms>", "p95\nms>") if timed else ()),
        *("Needs", "As\ntrained", ""),
    )
    for told in answer.methods:
        for row in answer.rows:
            if row.method == told.method:
                style = "bold green" if row.current else "bold" if row.best else None
                table.add_row(*_cells(row, timed, narrow), style=style)
        table.add_section()
    return table


def _cells(row: MethodRowAnswer, timed: bool, narrow: bool) -> list[str]:
    vision = row.latency.vision_ms
    cells = [
        row.method,
        row.setting,
        f"{row.tiling.rows}x{row.tiling.cols}",
        str(row.tiling.total_crops),
        f"{row.tokens.prompt:,}",
        f"{row.prompt_tokens_ratio:.2f}",
        f"{row.gflop:,.0f}",
        f"{row.gflop_ratio:.2f}",
    ]
    if not narrow:
        cells += [f"{row.overlap_ratio:.1%}", f"×{min(row.scale_x, row.scale_y):.3f}"]
    if timed:
        cells += [f"{vision.p50:.1f}", f"{vision.p95:.1f}"] if vision else ["–", "–"]
    marks = [name for name, marked in (("current", row.current), ("best", row.best)) if marked]
    return [*cells, row.needs, "yes" if row.as_trained else "no", ", ".join(marks)]
