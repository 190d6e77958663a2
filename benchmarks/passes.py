"""Timing variants against each other: every round visits each (variant, crops) once, shuffled.

So a machine that drifts slows all of them alike, and ratios are taken within a round. The rate of
a large product is measured in every round too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import torch

from app.core.rounds import shuffled_rounds
from app.encoder.device import elapsed_ms, mark, matmul_gflop_per_s, synchronise
from app.encoder.encoder import PreparedCrops
from app.encoder.warmup import WarmupRule
from benchmarks.variants import Variant

Cell = tuple[str, int]
"""A variant by name, and total crops."""
Inputs = Mapping[tuple[torch.dtype, int], PreparedCrops]
MOST_WARMUP_S = 2.0
"""Of each variant and number of crops on a GPU, where a table has dozens of them."""
PROBE_S = {"cpu": 0.25, "cuda": 0.05}


@dataclass(frozen=True, slots=True)
class Pass:
    """Ms of one pass: the vision transformer, and with the connector (None if it has none)."""

    vit_ms: float
    vision_ms: float | None


@dataclass(slots=True)
class Samples:
    """Every pass in the order of the rounds, and the matrix rate of each round by dtype."""

    passes: dict[Cell, list[Pass]] = field(default_factory=dict)
    gflop_per_s: dict[torch.dtype, list[float]] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        return min((len(passes) for passes in self.passes.values()), default=0)


@torch.inference_mode()
def timed_pass(variant: Variant, crops: PreparedCrops, device: torch.device) -> Pass:
    """One pass, timed on the device by events, or on a CPU by the clock."""
    synchronise(device)
    start = mark(device)
    features = variant.encode(crops.patches)
    encoded = mark(device)
    tokens = variant.connect(features, crops)
    ready = mark(device)
    synchronise(device)
    whole = None if tokens is None else elapsed_ms(start, ready)
    return Pass(elapsed_ms(start, encoded), whole)


def warm_up(variant: Variant, crops: PreparedCrops, device: torch.device) -> int:
    """Passes until their time has settled, on a GPU; two on a CPU, where a pass takes seconds.

    Returns:
        The most device memory that a pass took beside what was held before it, in bytes; 0 on a
        CPU.
    """
    if device.type != "cuda":
        for _ in range(2):
            timed_pass(variant, crops, device)
        return 0
    timed_pass(variant, crops, device)
    held = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    rule = WarmupRule(at_most_s=MOST_WARMUP_S)
    rule.warm(lambda: timed_pass(variant, crops, device).vit_ms)
    return torch.cuda.max_memory_allocated(device) - held


def sample(
    variants: Sequence[Variant],
    counts: Sequence[int],
    inputs: Inputs,
    device: torch.device,
    *,
    rounds: int,
    budget_s: float,
    seed: int = 0,
) -> Samples:
    """Up to ``rounds`` rounds, all of them whole; none starts after ``budget_s``, but the first."""
    by_name = {variant.name: variant for variant in variants}
    cells: list[Cell] = list(product(by_name, counts))
    precisions = list(dict.fromkeys(variant.rated_in for variant in variants))
    samples = Samples({cell: [] for cell in cells}, {dtype: [] for dtype in precisions})

    def visit(cell: Cell) -> None:
        variant = by_name[cell[0]]
        crops = inputs[variant.dtype, cell[1]]
        samples.passes[cell].append(timed_pass(variant, crops, device))

    def probe(dtype: torch.dtype) -> None:
        rate = matmul_gflop_per_s(device, dtype, budget_s=PROBE_S[device.type])
        samples.gflop_per_s[dtype].append(rate)

    work: list[Callable[[], None]] = [
        *(partial(visit, cell) for cell in cells),
        *(partial(probe, dtype) for dtype in precisions),
    ]
    deadline = time.perf_counter() + budget_s
    for number, order in enumerate(shuffled_rounds(work, rounds, seed)):
        if number and time.perf_counter() > deadline:
            break
        for visit_one in order:
            visit_one()
    return samples
