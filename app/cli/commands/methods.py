"""Define ``methods``: compare the four ways to change the cost of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.inputs import given_latency, read_profile, read_settings
from app.cli.options import Configuration, JsonOption, ProfileOption, SizeArgument, grouped
from app.core.control.methods import compare_methods
from app.core.plan.plan import make_plan

if TYPE_CHECKING:
    from rich.table import Table

    from app.schemas.methods import MethodRowAnswer, MethodsAnswer


Column = tuple[str, Callable[["MethodRowAnswer"], str]]


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
    named = read_profile(profile, settings)
    answer = MethodsAnswer.of(comparison, partial(given_latency, named))
    if as_json:
        print_json(answer)
        return
    out = console()
    out.print(heading(answer.model, answer.config))
    out.print()
    out.print(_table(answer, timed=named is not None, wide=out.width >= 128))
    out.print()
    out.print(facts([(told.method, told.summary) for told in answer.methods]))


def _table(answer: MethodsAnswer, *, timed: bool, wide: bool) -> Table:
    """List one setting a row; only a ``wide`` terminal has room for all columns."""
    from app.cli.tables.plan_table import table_of

    table = table_of(
        f"Four ways to another cost for a {answer.image.width}x{answer.image.height} image",
        _columns(timed=timed, wide=wide),
        answer.rows,
        lambda row: "bold green" if row.current else "bold" if row.best else None,
    )
    table.caption = "*: the released weights were not trained so, quality is unknown"
    for shown, (row, following) in zip(table.rows, pairwise(answer.rows), strict=False):
        shown.end_section = row.method != following.method
    return table


def _columns(*, timed: bool, wide: bool) -> Iterator[Column]:
    """Yield headings with the text of their cells."""
    yield "Method", lambda row: row.method
    yield "Setting>", lambda row: row.setting if row.as_trained else f"{row.setting}*"
    yield "Tiling", lambda row: f"{row.tiling.rows}x{row.tiling.cols}"
    if wide:
        yield "Total\ncrops>", lambda row: str(row.tiling.total_crops)
        yield "Overlap>", lambda row: f"{row.overlap_ratio:.1%}"
        yield "Scale>", lambda row: f"×{min(row.scale_x, row.scale_y):.3f}"
    yield "Prompt\ntokens>", lambda row: f"{row.tokens.prompt:,}"
    if wide:
        yield "Ratio>", lambda row: f"{row.prompt_tokens_ratio:.2f}"
    if wide or not timed:
        yield "GFLOP>", lambda row: f"{row.gflop:,.0f}"
    if wide:
        yield "Ratio>", lambda row: f"{row.gflop_ratio:.2f}"
    if timed:
        yield "p50\nms>", lambda row: f"{ms.p50:.1f}" if (ms := row.latency.vision_ms) else "–"
        yield "p95\nms>", lambda row: f"{ms.p95:.1f}" if (ms := row.latency.vision_ms) else "–"
    yield "Needs", lambda row: row.needs
    yield "", lambda row: "best" if row.best else "current" if row.current else ""
