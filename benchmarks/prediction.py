"""Check the latency model against other passes: ``python -m benchmarks prediction``.

Every round runs profiled and predicted grids in a shuffled order; drift of the machine then favours
neither. A predicted grid may have as many crops as a profiled one. Only their tokens differ then,
and the two are also compared round by round.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.core.latency.model import LatencyCurve
from app.core.latency.profile import ProfileEntry
from app.core.plan.config import make_config
from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.core.plan.geometry import Grid
from app.core.plan.tokens import count_tokens
from app.core.statistics import Comparison, shuffled_rounds
from app.encoder.device.device import choose_device, device_name
from app.encoder.encoder import Encoder
from app.encoder.loading import load_encoder
from app.encoder.measuring.machine import MachineWatch, contention
from app.encoder.measuring.series import Series, run_here, subject_of
from app.encoder.synthetic import ProfilePlan, profile_plans
from benchmarks.conditions import conditions, result_name
from benchmarks.timing import finish

PROFILED = (1, 4, 7, 13)
"""The curve goes through the grids of these total crops."""
PREDICTED = (
    (Grid(1, 6), (4, 4)),
    (Grid(2, 3), (0, 0)),
    (Grid(3, 3), (4, 4)),
    (Grid(1, 12), (4, 4)),
)
"""The curve predicts these grids with these margins; a CPU also predicts 9 crops."""


@dataclass(frozen=True, slots=True)
class Row:
    """Compare one grid's prediction with its passes, and with a profiled grid of as many crops."""

    grid: str
    overlap_margins: tuple[int, int]
    total_crops: int
    patch_tokens: int
    predicted_p50_ms: float
    predicted_p95_ms: float
    predicted_connector_ms: float
    p50_ms: float
    p95_ms: float
    connector_ms: float
    predicted_ratio: float | None
    ratio: Comparison | None
    samples_ms: tuple[float, ...]

    def __str__(self) -> str:
        off = [
            f"{name} {predicted:.1f} for {measured:.1f} ms ({predicted / measured - 1:+.1%})"
            for name, predicted, measured in (
                ("p50", self.predicted_p50_ms, self.p50_ms),
                ("p95", self.predicted_p95_ms, self.p95_ms),
                ("connector", self.predicted_connector_ms, self.connector_ms),
            )
        ]
        shape = f"{self.grid:>5} margins {self.overlap_margins}, {self.patch_tokens:>5} tokens"
        told = f"  {shape}  predicted {', '.join(off)}"
        if self.ratio is None:
            return told
        interval = f"{self.ratio.low:.4f} to {self.ratio.high:.4f}"
        against = f"{self.ratio.ratio:.4f} ({interval}) of the profiled grid"
        return f"{told}\n{'':>10}{against}, predicted {self.predicted_ratio:.4f}"


def main(arguments: list[str] | None = None) -> None:
    """Print a line for each predicted grid, and save the lines with every sample."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_FAMILY)
    parser.add_argument("--rounds", type=int, help="by default 200 on a GPU, 7 on a CPU")
    options = parser.parse_args(arguments)
    device = choose_device()
    family = family_named(options.model)
    encoder = load_encoder(family)
    print(f"Prediction, {family.name}, {encoder.runtime.name}, {device_name(device)}")
    profiled = profile_plans(make_config(family), PROFILED)
    predicted = [
        plan
        for grid, margins in PREDICTED
        if (plan := _plan(encoder, grid, margins)).total_crops in PROFILED or device.type == "cpu"
    ]
    watch = MachineWatch(device)
    entries = measure(
        encoder, [*profiled, *predicted], options.rounds or (7 if device.type == "cpu" else 200)
    )
    contended = contention(watch.before, watch.after())
    rows = compare([entries[plan] for plan in profiled], {p: entries[p] for p in predicted})
    for row in rows:
        print(row)
    if contended:
        print(f"in doubt: {contended}")
    result: dict[str, Any] = {
        **conditions(device),
        "model": family.name,
        "runtime": encoder.runtime.name,
        "contended": contended,
        "profiled": {
            entries[plan].total_crops: entries[plan].samples_ms.vision for plan in profiled
        },
        "predicted": [asdict(row) for row in rows],
    }
    finish(result_name("prediction", device), result)


def measure(
    encoder: Encoder, plans: Sequence[ProfilePlan], rounds: int
) -> dict[ProfilePlan, ProfileEntry]:
    """Run two untimed passes of every plan, then shuffled rounds over all plans."""
    series = {plan: Series(plan, subject_of(encoder, plan, ("vision",))) for plan in plans}
    for one in series.values():
        for _ in range(2):
            one.subject.vision()
    for order in shuffled_rounds(plans, rounds):
        for plan in order:
            series[plan].time("vision", run_here)
    return {plan: one.entry() for plan, one in series.items()}


def compare(
    profiled: Sequence[ProfileEntry], predicted: Mapping[ProfilePlan, ProfileEntry]
) -> list[Row]:
    """Predict the other entries from the profiled ones, and compare."""
    curve = LatencyCurve(profiled)
    return [_row(curve, plan, entry) for plan, entry in predicted.items()]


def _row(curve: LatencyCurve, plan: ProfilePlan, measured: ProfileEntry) -> Row:
    around = curve.neighbours(plan.total_crops)
    assert around is not None
    found = curve.between(around, plan.total_crops, plan.patch_tokens)
    vision = found.vision_ms
    same = around[0] if around[0] is around[1] else None
    samples = measured.samples_ms.vision
    return Row(
        grid=f"{plan.rows}x{plan.cols}",
        overlap_margins=plan.config.overlap_margins,
        total_crops=plan.total_crops,
        patch_tokens=plan.patch_tokens,
        predicted_p50_ms=vision.p50,
        predicted_p95_ms=vision.p95,
        predicted_connector_ms=found.connector_ms,
        p50_ms=measured.vision_ms.p50,
        p95_ms=measured.vision_ms.p95,
        connector_ms=measured.connector_ms.p50,
        predicted_ratio=vision.p50 / same.vision_ms.p50 if same else None,
        ratio=Comparison.paired(samples, same.samples_ms.vision) if same else None,
        samples_ms=samples,
    )


def _plan(encoder: Encoder, grid: Grid, margins: tuple[int, int]) -> ProfilePlan:
    config = make_config(encoder.family, overlap_margins=margins)
    tokens = count_tokens(grid, config).patch
    return ProfilePlan(grid.total_crops, grid.rows, grid.cols, tokens, config)


if __name__ == "__main__":
    main()
