"""Define ``plan``, ``analyze`` and ``methods``: plan a size or a file, and compare other costs."""

import time
from itertools import pairwise
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from app.cli.inputs import read_bytes
from app.cli.options import ImageArgument, Question, SizeArgument, grouped
from app.cli.predictions import named_or_saved, named_profile
from app.cli.tables.plan_table import Columns, facts, heading, print_plan, table_of
from app.core.control.methods import compare_methods
from app.core.latency.latency import Latency
from app.core.plan.plan import make_plan
from app.imaging.read.decode import decode
from app.schemas.methods import MethodRowAnswer, MethodsAnswer
from app.schemas.plan import PlanAnswer


@grouped
def plan(size: SizeArgument, question: Question) -> None:
    """Plan a size: tiling, crops, tokens, overlap, and alternatives."""
    settings, config = question.read()
    planned = make_plan(size, config)
    known = named_profile(question.profile, settings)
    question.show(PlanAnswer.of(planned, known.latency(planned)), print_plan)


@grouped
def analyze(
    file: ImageArgument,
    latency: Annotated[
        Literal["profile", "measure", "none"],
        typer.Option(
            help="`profile`: from the profile that is named, or else saved for this device. "
            "`measure`: run this image's own crops now. `none`: leave it out."
        ),
    ] = "profile",
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Passes to measure; by default 3. Only with --latency measure."
        ),
    ] = None,
    *,
    question: Question,
) -> None:
    """Plan an image file, and give the latency of its vision tokens on this device."""
    if repeats is not None and latency != "measure":
        raise typer.BadParameter(
            f"needs --latency measure, but latency is {latency}", param_hint="--repeats"
        )
    if question.profile is not None and latency != "profile":
        raise typer.BadParameter(
            f"needs --latency profile, but latency is {latency}", param_hint="--profile"
        )
    settings, config = question.read()
    data = read_bytes(file, settings)
    started = time.perf_counter()
    picture = decode(data, max_pixels=settings.max_pixels)
    decode_ms = (time.perf_counter() - started) * 1e3
    planned = make_plan(picture.size, config)
    spent = None
    if latency == "none":
        known = Latency("none", "not asked for")
    elif latency == "profile":
        known = named_or_saved(question.profile, config, settings).latency(planned)
    else:
        from app.cli.encoder import measured_latency  # late: torch takes seconds to import

        known, spent = measured_latency(picture, planned, settings, repeats)
    answer = PlanAnswer.of(planned, known, facts=picture.facts, decode_ms=decode_ms, spent=spent)
    question.show(answer, print_plan)


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
