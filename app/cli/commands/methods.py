"""Define ``methods``: compare the four ways to change the cost of an image."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.options import Question, SizeArgument, grouped
from app.cli.predictions import named_profile
from app.cli.tables.plan_table import Columns, facts, heading, table_of
from app.core.control.methods import compare_methods
from app.core.plan.plan import make_plan

if TYPE_CHECKING:
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
    question: Question,
) -> None:
    """Compare the four ways to change what a size costs: crops, resizing, margins, crop side."""
    from app.schemas.methods import MethodsAnswer

    settings, config = question.read()
    comparison = compare_methods(
        make_plan(size, config), target_crops=target_crops, target_tokens=target_tokens
    )
    known = named_profile(question.profile, settings)

    def tables(out: Console, answer: MethodsAnswer) -> None:
        out.print(heading(answer.model, answer.config))
        out.print()
        out.print(_table(answer, timed=known.model is not None, wide=out.width >= 128))
        out.print()
        out.print(facts([(told.method, told.summary) for told in answer.methods]))

    question.show(MethodsAnswer.of(comparison, known.latency), tables)


def _table(answer: MethodsAnswer, *, timed: bool, wide: bool) -> Table:
    """List one setting a row; only a ``wide`` terminal has room for all columns."""
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


def _columns(*, timed: bool, wide: bool) -> Columns[MethodRowAnswer]:
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
