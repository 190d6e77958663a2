"""Make the row of one variant at one number of crops: its numbers, and a printed line."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.core.latency.timings import Percentiles
from app.core.plan.work import connector_flops, floor_ms, gflop_per_s, matmul_rate, vit_flops
from app.core.statistics import Comparison
from app.encoder.device.device import dtype_name
from app.encoder.runtimes.fidelity import StageAgreement
from app.encoder.synthetic import ProfilePlan
from benchmarks.variants import Pass, Samples, Scope, Variant

HEADING = (
    f"{'crops':>5}  {'variant':<29}{'dtype':<10}{'what':<7}{'p50 ms (95 % interval)':>36}{'p95':>9}"
    f"{'TFLOP/s':>9}{'of matrix':>11}{'floor ms':>10}{'rel. error':>12}{'min cos':>9}{'peak MB':>9}"
    "  / ours"
)


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one variant at one number of crops. An unmeasured value is None.

    Attributes:
        flops: the needed work of ``scope``, without a variant's additional work.
        fraction: the floor over the p50, a share of the median matrix rate of all rounds.
        ratio: the variant's time over our time, for the same scope and rounds.
    """

    total_crops: int
    variant: str
    dtype: str
    scope: Scope
    note: str
    flops: int
    ms: Percentiles | None = None
    samples_ms: tuple[float, ...] = ()
    gflop_per_s: float | None = None
    matmul_gflop_per_s: float | None = None
    fraction: float | None = None
    floor_ms: float | None = None
    fidelity: StageAgreement | None = None
    passes: bool | None = None
    peak_bytes: int | None = None
    ratio: Comparison | None = None


def rows_of(
    plan: ProfilePlan,
    variant: Variant,
    agreement: StageAgreement | None,
    samples: Samples,
    ours: str | None,
    peak_bytes: int | None,
) -> list[Row]:
    """Make a row for each scope. A failed check gives the error and no latency."""
    failed = agreement is not None and not agreement.holds(variant.precision)
    scopes: tuple[Scope, ...] = ("vit",) if variant.scope == "vit" else ("vision", "vit")
    rows = []
    for scope in scopes:
        row = Row(
            total_crops=plan.total_crops,
            variant=variant.name,
            dtype=dtype_name(variant.precision),
            scope=scope,
            note=variant.note,
            flops=needed_flops(plan, scope),
            fidelity=agreement,
            passes=None if agreement is None else not failed,
            peak_bytes=peak_bytes,
        )
        rows.append(row if failed else _timed(row, plan, variant, samples, ours))
    return rows


def needed_flops(plan: ProfilePlan, scope: Scope) -> int:
    """Count the FLOPs for Molmo's blocks up to the last feature layer, and for its tokens."""
    family = plan.config.family
    vit = vit_flops(family, plan.total_crops)
    return vit if scope == "vit" else vit + connector_flops(family, plan.patch_tokens)


def _timed(
    row: Row, plan: ProfilePlan, variant: Variant, samples: Samples, ours: str | None
) -> Row:
    times = times_ms(samples.passes.get((variant.name, plan.total_crops), []), row.scope)
    if not times:
        return row
    rate = matmul_rate(samples.gflop_per_s[variant.rated_in])
    ms = Percentiles.of(times)
    floor = floor_ms(row.flops, rate) if rate else None
    ratio = None
    if ours is not None and variant.name != ours:
        our_times = times_ms(samples.passes.get((ours, plan.total_crops), []), row.scope)
        both = min(len(times), len(our_times))  # the budget may end between the two
        ratio = Comparison.paired(times[:both], our_times[:both]) if both else None
    return replace(
        row,
        ms=ms,
        samples_ms=tuple(times),
        gflop_per_s=gflop_per_s(row.flops, ms.p50),
        matmul_gflop_per_s=rate,
        fraction=floor / ms.p50 if floor else None,
        floor_ms=floor,
        ratio=ratio,
    )


def times_ms(passes: list[Pass], scope: Scope) -> list[float]:
    """Return the times of a scope in ms, round by round."""
    if scope == "vit":
        return [one.vit_ms for one in passes]
    return [one.vision_ms for one in passes if one.vision_ms is not None]


def line(row: Row) -> str:
    """Print the row as a line of the table under ``HEADING``."""
    start = f"{row.total_crops:>5}  {row.variant:<29}{row.dtype:<10}{row.scope:<7}"
    error = cosine = "-"
    if row.fidelity is not None:
        stages = [row.fidelity.vit, row.fidelity.connector]
        error = f"{max(stage.relative_error for stage in stages):.1e}"
        cosine = f"{min(stage.min_cosine for stage in stages):.5f}"
    peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}"
    if row.ms is None:
        why = "FAILED its check, no latency" if row.passes is False else "not timed"
        return f"{start}  {why}: relative error {error}, cosine {cosine}"
    ms = row.ms
    ratio = "" if row.ratio is None else f"{row.ratio.ratio:.2f}x"
    if row.ratio is not None and not row.ratio.differs:
        ratio += " (not shown to differ)"
    time = f"{ms.p50:>10.2f} ({ms.p50_low:.2f} to {ms.p50_high:.2f})"
    return (
        f"{start}{time:<36}{ms.p95:>9.2f}{(row.gflop_per_s or 0) / 1e3:>9.2f}"
        f"{row.fraction or 0:>11.0%}{row.floor_ms or 0:>10.2f}"
        f"{error:>12}{cosine:>9}{peak:>9}  {ratio}"
    )
