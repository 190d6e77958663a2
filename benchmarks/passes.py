"""One pass of a variant: warmed up, then timed on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from app.encoder.device.device import elapsed_ms, mark, synchronise
from app.encoder.encoder import PreparedCrops
from app.encoder.measuring.warmup import WarmupRule
from benchmarks.variants import Variant

Cell = tuple[str, int]
"""A variant by name, and total crops."""
Inputs = Mapping[tuple[torch.dtype, int], PreparedCrops]
WARMUP = WarmupRule(at_least_s=0.2, at_most_s=1.0)
"""Of each variant and number of crops on a GPU, where a table has dozens of them."""


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


@dataclass(frozen=True, slots=True)
class Warm:
    """The last pass of a warm-up, and the most bytes that one took on a GPU beside what is held."""

    last: Pass
    peak_bytes: int


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


def warm_up(variant: Variant, crops: PreparedCrops, device: torch.device) -> Warm:
    """Passes until their time has settled, on a GPU; two on a CPU, where a pass takes seconds."""
    last = timed_pass(variant, crops, device)
    if device.type != "cuda":
        return Warm(timed_pass(variant, crops, device), 0)
    held = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)

    def again() -> float:
        nonlocal last
        last = timed_pass(variant, crops, device)
        return last.vit_ms

    WARMUP.warm(again)
    return Warm(last, torch.cuda.max_memory_allocated(device) - held)
