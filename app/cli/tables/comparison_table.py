"""Print two profiles side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.tables.plan_table import columns
from app.cli.tables.profile_table import interval, milliseconds
from app.core.statistics import FEWEST

if TYPE_CHECKING:
    from app.schemas.profile import (
        ComparedCountAnswer,
        ComparedSide,
        DifferenceAnswer,
        ProfileComparisonAnswer,
        ProfileSummary,
    )


def print_comparison(
    out: Console, answer: ProfileComparisonAnswer, files: tuple[Path, Path]
) -> None:
    """Print the conditions of both profiles, each compared count, and the other differences."""
    for name, side, file in zip("AB", (answer.a, answer.b), files, strict=True):
        out.print(_heading(name, side, file))
    for name, side in (("A", answer.a), ("B", answer.b)):
        if side.contended is not None:
            out.print(f"{name} is in doubt: {side.contended}", style="yellow")
    out.print()
    doubtful = answer.a.contended is not None or answer.b.contended is not None
    out.print(_counts(answer.counts, doubtful=doubtful))
    for told, counts in (
        ("not the same work in both", [c for c in answer.counts if not c.same_work]),
        (
            f"fewer than {FEWEST} passes show nothing",
            [c for c in answer.counts if c.samples < FEWEST],
        ),
    ):
        if counts:
            totals = ", ".join(str(count.total_crops) for count in counts)
            out.print(f"{told}: {totals} crops in all", style="yellow")
    out.print()
    out.print(_differences(answer.differences))
    out.print(
        "The two were measured apart: what the machine did in between is in the ratios, and not in "
        "their 95 % intervals. Where nothing differs, one in twenty of these excludes 1 by chance.",
        style="dim",
    )


def _heading(name: str, side: ProfileSummary, file: Path) -> Text:
    told = f"{side.model} on {side.device}, {side.dtype}, {side.runtime}, {side.measured_at}"
    rate = side.matmul_gflop_per_s
    product = "" if rate is None else f", one large product {rate:,.0f} GFLOP/s"
    return Text.assemble((name, "bold"), f"  {told}{product}", (f"  {file}", "dim"))


def _counts(counts: list[ComparedCountAnswer], *, doubtful: bool) -> Table:
    table = columns(
        "Vision-token latency, ms",
        *("Total\ncrops>", "A p50>", "95 %>", "B p50>", "95 %>", "A / B>", "95 %>", "Shown"),
        *(("A min>", "B min>", "A CPU>", "B CPU>") if doubtful else ()),
    )
    for count in counts:
        table.add_row(
            str(count.total_crops),
            *(milliseconds(count.a.vision_ms.p50), interval(count.a.vision_ms)),
            *(milliseconds(count.b.vision_ms.p50), interval(count.b.vision_ms)),
            *(f"{count.ratio:.3f}", f"{count.low:.3f}–{count.high:.3f}"),
            _verdict(count),
            *(_beside(count.a, count.b) if doubtful else ()),
        )
    return table


def _verdict(count: ComparedCountAnswer) -> Text:
    if not count.differs:
        return Text("–", style="dim")
    return Text(f"{'A' if count.ratio > 1 else 'B'} takes longer", style="bold")


def _beside(a: ComparedSide, b: ComparedSide) -> list[str]:
    """Return minima and CPU time, the figures that a busy machine changes least."""
    minima = [milliseconds(side.vision_ms.min) for side in (a, b)]
    return minima + [milliseconds(side.cpu_ms.p50) if side.cpu_ms else "–" for side in (a, b)]


def _differences(differences: list[DifferenceAnswer]) -> Table | Text:
    if not differences:
        return Text("Both were measured under the same conditions.")
    table = columns("What else differs", "Condition", "A", "B")
    for one in differences:
        table.add_row(one.name, *("–" if side is None else side for side in (one.a, one.b)))
    return table
