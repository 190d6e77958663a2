"""Print a resize or an adaptation as tables: the decision and the alternatives."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.tables.plan_table import (
    Columns,
    Fact,
    facts,
    heading,
    latency,
    or_dash,
    scale_text,
    table_of,
    tiling,
    tokens,
)
from app.core.plan.plan import CropPlan
from app.schemas.adapt import AdaptAnswer, AdaptDecision, CandidateRow
from app.schemas.plan import PlanAnswer
from app.schemas.resize import DecisionAnswer, ResizeAnswer


def print_resize(
    out: Console, before: CropPlan | None, answer: ResizeAnswer, written: Path | None
) -> None:
    """Print a resize.

    Args:
        before: the plan of the original, None for an image that collapses.
        written: the file, None for a dry run.
    """
    decision, plan = answer.decision, answer.plan
    rows: list[Fact] = [
        ("Before", _before(before)),
        ("Decided", _decided(decision)),
        ("Tiling", tiling(decision.tiling)),
        ("Prompt tokens", tokens(plan.tokens)),
        ("Latency", latency(plan.latency)),
    ]
    alternatives = table_of(
        "Other ways to as many crops",
        (
            ("Mode", lambda other: other.mode),
            ("Tiling", lambda other: f"{other.tiling.rows}x{other.tiling.cols}"),
            ("Size", lambda other: f"{other.width}x{other.height}"),
            ("Scale", _scale),
        ),
        answer.alternatives,
    )
    _print(out, plan, rows, written, alternatives if answer.alternatives else None)


def _print(
    out: Console, plan: PlanAnswer, rows: list[Fact], written: Path | None, table: Table | None
) -> None:
    file = Text(str(written), style="bold green") if written else "nothing: a dry run"
    out.print(heading(plan.model, plan.config))
    out.print()
    out.print(facts([*rows, ("Written", file)]))
    if table is not None:
        out.print()
        out.print(table)


def _before(plan: CropPlan | None) -> str:
    if plan is None:
        return "an image that Molmo cannot take: scaled, one side would be 0 px"
    grid = plan.grid
    crops = f"{grid.crops} crop{'s' if grid.crops > 1 else ''}"
    return f"{plan.image} px, {grid}: {crops}, {plan.tokens.prompt:,} prompt tokens"


def _decided(decision: DecisionAnswer) -> Text:
    size = f"{decision.width}x{decision.height} px"
    quality = f", quality {decision.quality}" if decision.quality is not None else ""
    return Text.assemble(
        (f"{decision.mode}", "bold"), " → ", (size, "bold"), f" ({_scale(decision)}){quality}"
    )


def _scale(decision: DecisionAnswer) -> str:
    if decision.mode == "unchanged":
        return "as it is"
    scale = scale_text(decision.scale_x, decision.scale_y)
    return f"{scale}, enlarged" if decision.upscaled else scale


def print_adaptation(out: Console, answer: AdaptAnswer, written: Path | None) -> None:
    """Print an adaptation. ``written`` is the file, None for a dry run."""
    decision, plan = answer.decision, answer.plan
    rows: list[Fact] = [
        ("Decided", _adapted(decision)),
        ("Why", decision.reason),
        ("Tiling", tiling(decision.tiling)),
        ("Prompt tokens", tokens(plan.tokens)),
        ("Latency", _latency(answer)),
    ]
    weighed = table_of(
        "Everything that was weighed; bold: taken, *: on the Pareto front",
        _columns(answer, wide=out.width >= 96),
        answer.alternatives,
        lambda row: "bold" if row.chosen else None,
    )
    _print(out, plan, rows, written, weighed if len(answer.alternatives) > 1 else None)


def _adapted(decision: AdaptDecision) -> Text:
    size = f"{decision.width}x{decision.height} px"
    limit = f", with max_crops={decision.max_crops}" if decision.mode == "max_crops" else ""
    scale_x, scale_y = decision.scale_x, decision.scale_y
    scale = "" if scale_x == scale_y == 1 else f" ({scale_text(scale_x, scale_y)})"
    return Text.assemble((decision.mode, "bold"), " → ", (size, "bold"), scale, limit)


def _latency(answer: AdaptAnswer) -> str:
    decision, latency = answer.decision, answer.plan.latency
    if decision.latency_ms is None:
        return f"not known: {latency.reason}"
    prefill = ", prefill included" if answer.budget.prefill else ""
    at = f"p{answer.budget.percentile:g}"
    return f"{at} {decision.latency_ms:.1f} ms{prefill}; {latency.device}, {latency.reason}"


def _columns(answer: AdaptAnswer, *, wide: bool) -> Columns[CandidateRow]:
    """Show the figures of a candidate; a ``wide`` table also has the pixels a patch."""
    yield "Mode", lambda row: row.mode
    yield "Tiling", lambda row: f"{row.tiling.rows}x{row.tiling.cols}"
    yield "Size", lambda row: f"{row.width}x{row.height}"
    yield "Max\ncrops>", lambda row: str(row.max_crops)
    yield "Prompt\ntokens>", lambda row: f"{row.prompt_tokens:,}"
    if any(row.latency_ms is not None for row in answer.alternatives):
        at = f"p{answer.budget.percentile:g}"
        yield f"{at}\nms>", lambda row: or_dash(row.latency_ms, ".1f")
    yield "SSIM>", lambda row: _quality(row, "ssim", ".3f")
    yield "PSNR\ndB>", lambda row: _quality(row, "psnr_db", ".1f")
    if wide:
        yield "Px a\npatch>", lambda row: _quality(row, "pixels_per_patch", ".1f")
    yield "In\nbudget", lambda row: ("yes" if row.within_budget else "no") + " *" * row.pareto


def _quality(row: CandidateRow, figure: str, form: str) -> str:
    return or_dash(getattr(row.image_quality, figure, None), form)
