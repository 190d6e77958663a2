"""A resize as tables: what was decided, what it saves, and the other ways to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.tables.plan import Fact, columns, facts, heading, latency, scale_text, tiling, tokens
from app.core.plan.plan import CropPlan

if TYPE_CHECKING:
    from app.schemas.resize import DecisionAnswer, ResizeAnswer


def print_resize(
    out: Console, before: CropPlan | None, answer: ResizeAnswer, written: Path | None
) -> None:
    """Print it. ``before`` is the plan of the image as it came, ``written`` the file, if any."""
    decision, plan = answer.decision, answer.plan
    rows: list[Fact] = [
        ("Before", _before(before)),
        ("Decided", _decided(decision)),
        ("Tiling", tiling(decision.tiling)),
        ("Prompt tokens", tokens(plan.tokens)),
        ("Latency", latency(plan.latency)),
        ("Written", Text(str(written), style="bold green") if written else "nothing: a dry run"),
    ]
    out.print(heading(plan.model, plan.config))
    out.print()
    out.print(facts(rows))
    if answer.alternatives:
        out.print()
        out.print(_alternatives(answer.alternatives))


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


def _alternatives(alternatives: list[DecisionAnswer]) -> Table:
    table = columns("Other ways to as many crops", "Mode", "Tiling", "Size", "Scale")
    for other in alternatives:
        table.add_row(
            other.mode,
            f"{other.tiling.rows}x{other.tiling.cols}",
            f"{other.width}x{other.height}",
            _scale(other),
        )
    return table
