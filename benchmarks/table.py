"""Check and warm up variants at numbers of crops, then time them side by side in rounds.

Every round visits each (variant, crops) once, shuffled. A drift of the machine slows all variants
alike, and ratios are taken within a round. Every round also measures the rate of a large product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import torch

from app.core.plan.config import make_config
from app.core.plan.families import Family
from app.core.statistics import shuffled_rounds
from app.encoder.device.device import dtype_name
from app.encoder.encoder import PreparedCrops
from app.encoder.loading import reference_of
from app.encoder.measuring.calibration import matmul_gflop_per_s
from app.encoder.runtimes.fidelity import Reference, StageAgreement
from app.encoder.synthetic import profile_plans, random_backbone, synthetic_crops
from benchmarks.encoder_rows import Row, rows_of
from benchmarks.timing import Budget
from benchmarks.variants import Built, Cell, Samples, Variant, build, timed_pass, warm_up

Makers = Mapping[str, Callable[[], Variant]]
Inputs = Mapping[int, tuple[Reference, PreparedCrops]]
"""References and inputs by total crops."""
WARMUP_SHARE = 0.6
"""The share of the budget for making and warming up variants."""
PROBE_S = {"cpu": 0.25, "cuda": 0.05}
NO_TIME = "no time was left"


@dataclass(frozen=True, slots=True)
class Counts:
    """Hold total crops in order: for our first runtime, and for all other variants."""

    ours: Sequence[int]
    others: Sequence[int]

    @property
    def all(self) -> list[int]:
        return sorted({*self.ours, *self.others})


class Table:
    """Fill and hold the table of all variants.

    Args:
        ours: the names of our runtimes in the order of ``auto``. The first runtime is timed at
            every number of crops. Ratios are to the first runtime with passed checks.
    """

    def __init__(
        self,
        family: Family,
        device: torch.device,
        counts: Counts,
        ours: Sequence[str],
        budget: Budget,
    ) -> None:
        self.missing: dict[str, str] = {}
        self._device, self._counts, self._budget = device, counts, budget
        self._ours = ours
        self._plans = {
            plan.total_crops: plan for plan in profile_plans(make_config(family), counts.all)
        }
        self._inputs = cache(partial(_inputs, family, device, counts.all))  # once for each dtype
        self._variants: dict[str, Variant] = {}
        self._agreements: dict[Cell, StageAgreement | None] = {}
        self._peaks: dict[Cell, int | None] = {}
        self._samples = Samples()

    def fill(self, makers: Makers, rounds: int) -> Iterator[str]:
        """Check, warm up and time all variants; yield a line after every cell and every round.

        Only the first round may start after the budget, and only the last may stay unfinished.
        """
        for name, make in makers.items():
            yield from self._take_in(name, make)
        yield from self._time(rounds)

    def rows(self) -> list[Row]:
        """Return the rows so far by crops, in the order of the variants."""
        return [
            row
            for crops in sorted(self._plans)
            for name, variant in self._variants.items()
            if (name, crops) in self._agreements
            for row in rows_of(
                self._plans[crops],
                variant,
                self._agreements[name, crops],
                self._samples,
                self.our_name,
                self._peaks.get((name, crops)),
            )
        ]

    @property
    def our_name(self) -> str | None:
        """Name the first of our runtimes with every check passed, like the choice of ``auto``."""
        for name in self._ours:
            found = [agreed for cell, agreed in self._agreements.items() if cell[0] == name]
            if found and all(_passes(agreed, self._variants[name]) for agreed in found):
                return name
        return None

    def _take_in(self, name: str, make: Callable[[], Variant]) -> Iterator[str]:
        """Make a variant, then check it and warm it up at its numbers of crops."""
        if self._budget.spent(WARMUP_SHARE):
            yield self._miss(name, NO_TIME)
            return
        counts = self._counts.ours if name == self._ours[0] else self._counts.others
        crops = None
        try:
            built = build(make, self._device)
            self._variants[name] = built.variant
            for crops in counts:
                # The first number costs less than making the variant did, and is always run.
                if crops != counts[0] and self._budget.spent(WARMUP_SHARE):
                    yield self._miss(_cell_name(name, crops), NO_TIME)
                else:
                    yield self._admit(name, built, crops)
        except Exception as error:
            # Other packages fail with errors of any class; the table records them and goes on.
            yield self._miss(name if crops is None else _cell_name(name, crops), _reason(error))

    def _admit(self, name: str, built: Built, crops: int) -> str:
        cell, variant = (name, crops), built.variant
        reference, inputs = self._inputs(variant.dtype)[crops]
        agreement = variant.check(reference)
        self._agreements[cell] = agreement
        start = f"{_cell_name(name, crops)}: "
        if not _passes(agreement, variant):
            return f"{start}FAILED its check, {agreement}"
        warm = warm_up(variant, inputs, self._device)
        held = built.held_bytes
        self._peaks[cell] = None if held is None else held + warm.peak_bytes
        self._samples.passes[cell] = []
        self._samples.gflop_per_s.setdefault(variant.rated_in, [])
        error = "" if agreement is None else f", relative error {agreement.vit.relative_error:.1e}"
        return f"{start}warm at {warm.last.vision_ms or warm.last.vit_ms:.2f} ms{error}"

    def _time(self, rounds: int) -> Iterator[str]:
        # The rates come first in the first round, so that every time has a rate beside it.
        for dtype in self._samples.gflop_per_s:
            self._probe(dtype)
            rate = self._samples.gflop_per_s[dtype][-1]
            yield f"a large product in {dtype_name(dtype)}: {rate:.0f} GFLOP/s"
        rates = list(self._samples.gflop_per_s)
        if not rates:
            return
        work: list[Cell | torch.dtype] = [*self._samples.passes, *rates]
        for number, order in enumerate(shuffled_rounds(work, rounds)):
            for one in order:
                if number and self._budget.spent():
                    return
                if isinstance(one, torch.dtype):
                    if number:
                        self._probe(one)
                    continue
                line = self._visit(one)
                if line or not number:
                    yield line or self._last(one)
            yield f"round {number + 1} of {rounds}, {self._budget.left_s:.0f} s left"

    def _visit(self, cell: Cell) -> str:
        """Time one more pass. A failed variant is not tried again; the line has its reason."""
        name, crops = cell
        if _cell_name(*cell) in self.missing:
            return ""
        variant = self._variants[name]
        try:
            one = timed_pass(variant, self._inputs(variant.dtype)[crops][1], self._device)
        except Exception as error:  # as above
            return self._miss(_cell_name(*cell), _reason(error))
        self._samples.passes[cell].append(one)
        return ""

    def _probe(self, dtype: torch.dtype) -> None:
        budget_s = PROBE_S[self._device.type]
        rate = matmul_gflop_per_s(self._device, dtype, budget_s=budget_s)
        self._samples.gflop_per_s[dtype].append(rate)

    def _last(self, cell: Cell) -> str:
        last = self._samples.passes[cell][-1]
        return f"{_cell_name(*cell)}: {last.vision_ms or last.vit_ms:.2f} ms"

    def _miss(self, what: str, why: str) -> str:
        self.missing[what] = why
        return f"{what} could not be run: {why}"


def _inputs(
    family: Family, device: torch.device, counts: Sequence[int], dtype: torch.dtype
) -> Inputs:
    """Make the inputs of checks and passes: noise, and its results by the plain network.

    The weights of a reference are rounded to ``dtype``, like the weights of its variants.
    """
    backbone = random_backbone(family, device, dtype)
    made = {}
    for plan in profile_plans(make_config(family), counts):
        reference = reference_of(family, backbone, plan.total_crops)
        state = reference.padding_state
        crops = synthetic_crops(plan, device, dtype)
        made[plan.total_crops] = (
            reference,
            replace(crops, patches=reference.patches, padding_state=state),
        )
    return made


def _passes(agreement: StageAgreement | None, variant: Variant) -> bool:
    """Return True if the check holds. A variant with other weights has no check."""
    return agreement is None or agreement.holds(variant.precision)


def _cell_name(name: str, crops: int) -> str:
    return f"{name}, {crops} crops"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
