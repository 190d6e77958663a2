"""Define the variants of a benchmark, and time one pass of a variant.

A variant turns crops into vision tokens or only into features. :mod:`benchmarks.baselines` has the
variants that a user would run instead of ours.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from app.core.plan.families import Family
from app.encoder.device.device import dtype_name, elapsed_ms, mark, synchronise
from app.encoder.encoder import PreparedCrops
from app.encoder.measuring.warmup import WarmupRule
from app.encoder.runtimes.base import Runtime
from app.encoder.runtimes.choose import MAKERS, exact_as
from app.encoder.runtimes.fidelity import Reference, StageAgreement, compare
from app.encoder.synthetic import check_sample, random_backbone

Scope = Literal["vision", "vit"]
"""``vision``: from patches to vision tokens. ``vit``: the vision transformer alone."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Encode crops in one way.

    Attributes:
        dtype: the dtype of the patches, and of the reference's weights.
        precision: the dtype for the error limits of the outputs.
        note: the additional or different work of the variant.
        encode: patches on the device → features in any layout.
        runtime: encodes and connects. None stands for a vision transformer alone with weights of
            its own, without a reference.
    """

    name: str
    dtype: torch.dtype
    precision: torch.dtype
    note: str
    encode: Callable[[Tensor], Tensor]
    runtime: Runtime | None

    @property
    def rated_in(self) -> torch.dtype:
        """Return the dtype of the matrix rate for the variant: ``dtype`` for 8-bit products."""
        return self.precision if self.precision.itemsize > 1 else self.dtype

    @property
    def scope(self) -> Scope:
        return "vit" if self.runtime is None else "vision"

    def connect(self, features: Tensor, crops: PreparedCrops) -> Tensor | None:
        """Return the vision tokens, or None without a connector."""
        if self.runtime is None:
            return None
        return self.runtime.connect(features, crops.pool_index, crops.padding_state)

    def check(self, reference: Reference) -> StageAgreement | None:
        """Compare with the plain float32 network; None with other weights."""
        return None if self.runtime is None else compare(self.runtime, reference, self.dtype)


def of_runtime(
    runtime: Runtime, dtype: torch.dtype, precision: torch.dtype, note: str = ""
) -> Variant:
    """Make the variant of a runtime."""
    return Variant(runtime.name, dtype, precision, note, runtime.encode_patches, runtime)


def ours(name: str, family: Family, device: torch.device, dtype: torch.dtype) -> Variant:
    """Make the variant of one of our runtimes, with seeded random weights."""
    precision = exact_as(name, dtype)
    note = "" if precision is dtype else f"{dtype_name(precision)} products, only on request"
    runtime = MAKERS[name](
        random_backbone(family, device, dtype), check_sample(family, device, dtype)
    )
    return of_runtime(runtime, dtype, precision, note)


@dataclass(frozen=True, slots=True)
class Built:
    """Hold a variant, and its device memory between passes in bytes (None on a CPU)."""

    variant: Variant
    held_bytes: int | None


def build(make: Callable[[], Variant], device: torch.device) -> Built:
    """Make a variant now. Errors of its packages pass through."""
    before = _reserved_bytes(device)
    variant = make()
    after = _reserved_bytes(device)
    return Built(variant, None if before is None or after is None else after - before)


def _reserved_bytes(device: torch.device) -> int | None:
    """Return the reserved device memory in bytes: a graph's pool is reserved, but no tensor."""
    if device.type != "cuda":
        return None
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)


Cell = tuple[str, int]
"""A variant by name, and total crops."""
WARMUP = WarmupRule(at_least_s=0.2, at_most_s=1.0)
"""The warm-up of each variant and number of crops on a GPU: short, for dozens of cells."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Hold the ms of one pass: of the vision transformer, and with the connector (or None)."""

    vit_ms: float
    vision_ms: float | None


@dataclass(slots=True)
class Samples:
    """Hold all passes in the order of the rounds, and the matrix rate of each round by dtype."""

    passes: dict[Cell, list[Pass]] = field(default_factory=dict)
    gflop_per_s: dict[torch.dtype, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Warm:
    """Hold the last pass of a warm-up, and the peak bytes of a pass on a GPU beyond those held."""

    last: Pass
    peak_bytes: int


@torch.inference_mode()
def timed_pass(variant: Variant, crops: PreparedCrops, device: torch.device) -> Pass:
    """Time one pass by events of the device, or on a CPU by the clock."""
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
    """Run passes until their times settle, or two passes on a CPU, as each takes seconds."""
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
