"""Print a measured profile as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.tables.plan_table import columns, or_dash, table_of

if TYPE_CHECKING:
    from app.schemas.profile import LineAnswer, PercentilesMs, ProfileAnswer, ProfileEntryAnswer


def print_profile(out: Console, profile: ProfileAnswer, files: Sequence[Path]) -> None:
    """Print the conditions, the doubts, the latencies and the files of a profile."""
    out.print(_heading(profile))
    for line in _calibration(profile):
        out.print(line, style="dim")
    for line in _doubts(profile):
        out.print(line, style="yellow")
    out.print()
    out.print(_latencies(profile, narrow=out.width < 90))
    if profile.line is not None:
        out.print(_fitted(profile.line), style="dim")
    if profile.states:
        out.print()
        out.print(_states(profile))
    if not profile.complete:
        out.print("not complete: the budget was spent; --resume goes on", style="yellow")
    for file in files:
        out.print(Text.assemble("saved to ", (str(file), "bold green")))


def milliseconds(ms: float) -> str:
    """Write about four digits; a crop takes half a ms on one device and a second on another."""
    places = 3 if ms < 10 else 2 if ms < 100 else 1 if ms < 1000 else 0
    return f"{ms:,.{places}f}"


def interval(times: PercentilesMs) -> str:
    """Write the 95 % interval of the median."""
    return f"{milliseconds(times.p50_low)}–{milliseconds(times.p50_high)}"


def _heading(profile: ProfileAnswer) -> Text:
    left, right = profile.overlap_margins
    threads = f", {profile.threads} threads" if profile.device_type == "cpu" else ""
    return Text.assemble(
        (profile.model, "bold"),
        f" on {profile.device}, {profile.dtype}, {profile.runtime}, {profile.weights} weights",
        (f"\nmargins {left},{right}{threads}, torch {profile.versions['torch']}, ", "dim"),
        (f"{profile.measured_at}, {profile.rounds} rounds", "dim"),
    )


def _calibration(profile: ProfileAnswer) -> Iterator[str]:
    if profile.matmul_gflop_per_s is not None:
        yield f"one large matrix product reaches {profile.matmul_gflop_per_s:,.0f} GFLOP/s"
    if profile.copy_gb_per_s is not None:
        yield f"copying reaches {profile.copy_gb_per_s:,.0f} GB/s"
    if (fidelity := profile.fidelity) is not None:
        yield (
            f"tokens are within {fidelity.relative_error:.1e} of plain float32, "
            f"cosines at least {fidelity.min_cosine:.5f}"
        )
    if (after := profile.machine_after) is not None and after.throttle:
        yield f"the GPU held its clocks down: {', '.join(after.throttle)}"


def _doubts(profile: ProfileAnswer) -> Iterator[str]:
    if profile.contended is not None:
        yield f"in doubt: {profile.contended}; minima and CPU time stand beside the medians"
    unsettled = [str(e.total_crops) for e in profile.entries if not e.warmup.settled]
    if unsettled:
        yield f"not yet settled when the timed passes began: {', '.join(unsettled)} crops in all"


Column = tuple[str, Callable[["ProfileEntryAnswer"], str]]


def _latencies(profile: ProfileAnswer, *, narrow: bool) -> Table:
    shown = _columns(doubtful=profile.contended is not None, narrow=narrow)
    return table_of("Vision-token latency, ms", shown, profile.entries)


def _columns(*, doubtful: bool, narrow: bool) -> Iterator[Column]:
    """Yield headings with the text of their cells."""
    yield "Total\ncrops>", lambda entry: str(entry.total_crops)
    yield "Grid", lambda entry: f"{entry.rows}x{entry.cols}" if entry.rows else "global"
    if not narrow:
        yield "Patch\ntokens>", lambda entry: f"{entry.patch_tokens:,}"
    yield "p50>", lambda entry: milliseconds(entry.vision_ms.p50)
    yield "95 % of\np50>", lambda entry: interval(entry.vision_ms)
    yield "p95>", lambda entry: milliseconds(entry.vision_ms.p95)
    if doubtful:
        yield "Min>", lambda entry: milliseconds(entry.vision_ms.min)
        yield "CPU\ntime>", lambda entry: milliseconds(entry.cpu_ms.p50) if entry.cpu_ms else "–"
    yield "ViT>", lambda entry: milliseconds(entry.vit_ms.p50)
    yield "Con-\nnector>", lambda entry: milliseconds(entry.connector_ms.p50)
    yield "GFLOP/s>", lambda entry: f"{entry.gflop_per_s:,.0f}"
    yield "Of\nmatmul>", lambda entry: or_dash(entry.matmul_fraction, ".0%")
    if not narrow:
        yield "GFLOP>", lambda entry: f"{entry.gflop:,.0f}"
        yield "Peak\nMB>", lambda entry: or_dash(_megabytes(entry), ",.0f")
        yield "Passes>", lambda entry: str(entry.vision_ms.samples)


def _megabytes(entry: ProfileEntryAnswer) -> float | None:
    peak = entry.peak_memory_bytes
    return None if peak is None else peak / 1e6


def _fitted(line: LineAnswer) -> str:
    return (
        f"fitted: {line.slope_ms:.1f} ms a crop and {line.intercept_ms:.1f} ms besides, "
        f"R² {line.r2:.4f}"
    )


def _states(profile: ProfileAnswer) -> Table:
    table = columns(
        "Not warm, ms",
        *("State", "After silence, s>", "Loading, s>", "Total\ncrops>", "p50>", "Max>", "Passes>"),
    )
    for state in profile.states:
        table.add_row(
            state.state,
            or_dash(state.silence_s, "g"),
            or_dash(state.load_s, ".1f"),
            str(state.total_crops),
            milliseconds(state.vision_ms.p50),
            milliseconds(state.vision_ms.max),
            str(state.vision_ms.samples),
        )
    return table
