"""A measured profile as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from app.cli.tables import columns

if TYPE_CHECKING:
    from app.schemas.latency import ProfileAnswer


def print_profile(out: Console, profile: ProfileAnswer, files: Sequence[Path]) -> None:
    """Print what was measured, under what, and where it is kept."""
    left, right = profile.overlap_margins
    threads = f", {profile.threads} threads" if profile.device_type == "cpu" else ""
    out.print(
        Text.assemble(
            (profile.model, "bold"),
            f" on {profile.device}, {profile.dtype}, {profile.weights} weights",
            (f"\nmargins {left},{right}{threads}, torch {profile.versions['torch']}, ", "dim"),
            (f"{profile.measured_at}, warm-up {profile.warmup} a count", "dim"),
        )
    )
    rate = profile.matmul_gflop_per_s
    if rate is not None:
        out.print(f"one large matrix product reaches {rate:,.0f} GFLOP/s", style="dim")
    narrow = out.width < 90
    table = columns(
        "Vision-token latency, ms",
        *("Total\ncrops>", "Grid", "Patch\ntokens>", "p50>", "p95>", "ViT>", "Con-\nnector>"),
        *("GFLOP>", "GFLOP/s>", "Of\nmatmul>"),
        *(() if narrow else ("Passes>",)),
    )
    for entry in profile.entries:
        share = entry.matmul_fraction
        table.add_row(
            str(entry.total_crops),
            f"{entry.rows}x{entry.cols}" if entry.rows else "global",
            f"{entry.patch_tokens:,}",
            f"{entry.vision_ms.p50:.1f}",
            f"{entry.vision_ms.p95:.1f}",
            f"{entry.vit_ms.p50:.1f}",
            f"{entry.connector_ms.p50:.1f}",
            f"{entry.gflop:,.0f}",
            f"{entry.gflop_per_s:,.0f}",
            f"{share:.0%}" if share is not None else "–",
            *(() if narrow else (str(entry.vision_ms.samples),)),
        )
    out.print()
    out.print(table)
    if not profile.complete:
        out.print("not complete: the budget was spent; --resume goes on", style="yellow")
    for file in files:
        out.print(Text.assemble("saved to ", (str(file), "bold green")))
