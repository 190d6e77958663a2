"""Print a measured profile, or two profiles side by side, as tables."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.tables.plan_table import Columns, or_dash, table_of
from app.core.statistics import FEWEST
from app.schemas.profile import (
    ComparedCountAnswer,
    DifferenceAnswer,
    PercentilesMs,
    ProfileAnswer,
    ProfileComparisonAnswer,
    ProfileEntryAnswer,
    ProfileSummary,
)


def print_profile(out: Console, profile: ProfileAnswer, files: Sequence[Path]) -> None:
    """Print the conditions, the doubts, the latencies and the files of a profile."""
    out.print(_heading(profile))
    for line in _calibration(profile):
        out.print(line, style="dim")
    unsettled = (entry.total_crops for entry in profile.entries if not entry.warmup.settled)
    for line in doubts(profile.contended, unsettled):
        out.print(line, style="yellow")
    out.print()
    columns = _columns(doubtful=profile.contended is not None, narrow=out.width < 90)
    out.print(table_of("Vision-token latency, ms", columns, profile.entries))
    if (fit := profile.line) is not None:
        crop, besides = f"{fit.slope_ms:.1f} ms a crop", f"{fit.intercept_ms:.1f} ms besides"
        out.print(f"fitted: {crop} and {besides}, R² {fit.r2:.4f}", style="dim")
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


def doubts(contended: str | None, unsettled: Iterable[int]) -> Iterator[str]:
    """Say the reasons to doubt times: a busy machine, and total crops not yet warm."""
    if contended is not None:
        yield f"in doubt: {contended}; minima and CPU time stand beside the medians"
    if crops := ", ".join(map(str, unsettled)):
        yield f"not yet settled when the timed passes began: {crops} crops in all"


def _columns(*, doubtful: bool, narrow: bool) -> Columns[ProfileEntryAnswer]:
    yield "Total\ncrops>", lambda entry: str(entry.total_crops)
    yield "Grid", lambda entry: f"{entry.rows}x{entry.cols}" if entry.rows else "global"
    if not narrow:
        yield "Patch\ntokens>", lambda entry: f"{entry.patch_tokens:,}"
    yield "p50>", lambda entry: milliseconds(entry.vision_ms.p50)
    yield "95 % of\np50>", lambda entry: interval(entry.vision_ms)
    yield "p95>", lambda entry: milliseconds(entry.vision_ms.p95)
    if doubtful:
        yield "Min>", lambda entry: milliseconds(entry.vision_ms.min)
        yield "CPU\ntime>", lambda entry: _median(entry.cpu_ms)
    yield "ViT>", lambda entry: milliseconds(entry.vit_ms.p50)
    yield "Con-\nnector>", lambda entry: milliseconds(entry.connector_ms.p50)
    yield "GFLOP/s>", lambda entry: f"{entry.gflop_per_s:,.0f}"
    yield "Of\nmatmul>", lambda entry: or_dash(entry.matmul_fraction, ".0%")
    if not narrow:
        yield "GFLOP>", lambda entry: f"{entry.gflop:,.0f}"
        yield "Peak\nMB>", lambda entry: or_dash(_megabytes(entry), ",.0f")
        yield "Passes>", lambda entry: str(entry.vision_ms.samples)


def _median(times: PercentilesMs | None) -> str:
    return "–" if times is None else milliseconds(times.p50)


def _megabytes(entry: ProfileEntryAnswer) -> float | None:
    peak = entry.peak_memory_bytes
    return None if peak is None else peak / 1e6


def _states(profile: ProfileAnswer) -> Table:
    return table_of(
        "Not warm, ms",
        (
            ("State", lambda state: state.state),
            ("After silence, s>", lambda state: or_dash(state.silence_s, "g")),
            ("Loading, s>", lambda state: or_dash(state.load_s, ".1f")),
            ("Total\ncrops>", lambda state: str(state.total_crops)),
            ("p50>", lambda state: milliseconds(state.vision_ms.p50)),
            ("Max>", lambda state: milliseconds(state.vision_ms.max)),
            ("Passes>", lambda state: str(state.vision_ms.samples)),
        ),
        profile.states,
    )


def print_comparison(
    out: Console, answer: ProfileComparisonAnswer, files: tuple[Path, Path]
) -> None:
    """Print the conditions of both profiles, each compared count, and the other differences."""
    for name, side, file in zip("AB", (answer.a, answer.b), files, strict=True):
        out.print(_side(name, side, file))
    for name, side in (("A", answer.a), ("B", answer.b)):
        if side.contended is not None:
            out.print(f"{name} is in doubt: {side.contended}", style="yellow")
    out.print()
    doubtful = answer.a.contended is not None or answer.b.contended is not None
    out.print(table_of("Vision-token latency, ms", _counts(doubtful=doubtful), answer.counts))
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


def _side(name: str, side: ProfileSummary, file: Path) -> Text:
    told = f"{side.model} on {side.device}, {side.dtype}, {side.runtime}, {side.measured_at}"
    rate = side.matmul_gflop_per_s
    product = "" if rate is None else f", one large product {rate:,.0f} GFLOP/s"
    return Text.assemble((name, "bold"), f"  {told}{product}", (f"  {file}", "dim"))


def _counts(*, doubtful: bool) -> Columns[ComparedCountAnswer]:
    """Add minima and CPU time, the figures that a busy machine changes least, to doubtful times."""
    yield "Total\ncrops>", lambda count: str(count.total_crops)
    yield "A p50>", lambda count: milliseconds(count.a.vision_ms.p50)
    yield "95 %>", lambda count: interval(count.a.vision_ms)
    yield "B p50>", lambda count: milliseconds(count.b.vision_ms.p50)
    yield "95 %>", lambda count: interval(count.b.vision_ms)
    yield "A / B>", lambda count: f"{count.ratio:.3f}"
    yield "95 %>", lambda count: f"{count.low:.3f}–{count.high:.3f}"
    yield "Shown", _verdict
    if doubtful:
        yield "A min>", lambda count: milliseconds(count.a.vision_ms.min)
        yield "B min>", lambda count: milliseconds(count.b.vision_ms.min)
        yield "A CPU>", lambda count: _median(count.a.cpu_ms)
        yield "B CPU>", lambda count: _median(count.b.cpu_ms)


def _verdict(count: ComparedCountAnswer) -> Text:
    if not count.differs:
        return Text("–", style="dim")
    return Text(f"{'A' if count.ratio > 1 else 'B'} takes longer", style="bold")


def _differences(differences: list[DifferenceAnswer]) -> Table | Text:
    if not differences:
        return Text("Both were measured under the same conditions.")
    return table_of(
        "What else differs",
        (
            ("Condition", lambda one: one.name),
            ("A", lambda one: "–" if one.a is None else one.a),
            ("B", lambda one: "–" if one.b is None else one.b),
        ),
        differences,
    )
