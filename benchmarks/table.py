"""Variants side by side at numbers of crops: each checked and warmed up, then timed in rounds.

Every round visits each (variant, crops) once, shuffled. So a machine that drifts slows all of them
alike, and ratios are taken within a round. The rate of a large product is measured in every round
too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
WARMUP_SHARE = 0.6
"""No variant is made after this share of the budget, and none is tried at further counts."""
PROBE_S = {"cpu": 0.25, "cuda": 0.05}
NO_TIME = "no time was left"


@dataclass(frozen=True, slots=True)
class Counts:
    """Total crops, in the order to begin with: of the staircase, and of all other variants."""

    ours: Sequence[int]
    others: Sequence[int]

    @property
    def all(self) -> list[int]:
        return sorted({*self.ours, *self.others})


class Table:
    """All that is known of all variants so far.

    Args:
        ours: the names of our own runtimes, in the order that ``auto`` tries them. The first one
            is timed at every number of crops, and ratios are to the first that passes its checks.
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
        self._inputs = _Inputs(family, device, counts.all)
        self._variants: dict[str, Variant] = {}
        self._agreements: dict[Cell, StageAgreement | None] = {}
        self._peaks: dict[Cell, int | None] = {}
        self._samples = Samples()

    def fill(self, makers: Makers, rounds: int) -> Iterator[str]:
        """Check, warm up and time all variants; a line after every cell and after every round.

        No round starts after the budget but the first, and none of them is left unfinished but the
        last one.
        """
        for name, make in makers.items():
            yield from self._take_in(name, make)
        yield from self._time(rounds)

    def rows(self) -> list[Row]:
        """The rows so far by crops, in the order of the variants."""
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
        """The first of our runtimes that passes every check, as ``auto`` would choose."""
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
                # The first is taken in: it costs less than what making the variant has cost.
                if crops != counts[0] and self._budget.spent(WARMUP_SHARE):
                    yield self._miss(_cell_name(name, crops), NO_TIME)
                else:
                    yield self._admit(name, built, crops)
        except Exception as error:
            # Other people's packages fail in every way there is; the table says so and goes on.
            yield self._miss(name if crops is None else _cell_name(name, crops), _reason(error))

    def _admit(self, name: str, built: Built, crops: int) -> str:
        cell, variant = (name, crops), built.variant
        reference, inputs = self._inputs.of(variant.dtype)[crops]
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
        # The rates come first in the first round, so that whatever is timed has one beside it.
        for dtype in self._samples.gflop_per_s:
            self._probe(dtype)
            yield f"a large product in {dtype_name(dtype)}: {self._rate(dtype):.0f} GFLOP/s"
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
        """One more pass. A variant that fails is not tried again, and the line says why."""
        name, crops = cell
        if _cell_name(*cell) in self.missing:
            return ""
        variant = self._variants[name]
        try:
            one = timed_pass(variant, self._inputs.of(variant.dtype)[crops][1], self._device)
        except Exception as error:  # as above
            return self._miss(_cell_name(*cell), _reason(error))
        self._samples.passes[cell].append(one)
        return ""

    def _probe(self, dtype: torch.dtype) -> None:
        budget_s = PROBE_S[self._device.type]
        rate = matmul_gflop_per_s(self._device, dtype, budget_s=budget_s)
        self._samples.gflop_per_s[dtype].append(rate)

    def _rate(self, dtype: torch.dtype) -> float:
        return self._samples.gflop_per_s[dtype][-1]

    def _last(self, cell: Cell) -> str:
        last = self._samples.passes[cell][-1]
        return f"{_cell_name(*cell)}: {last.vision_ms or last.vit_ms:.2f} ms"

    def _miss(self, what: str, why: str) -> str:
        self.missing[what] = why
        return f"{what} could not be run: {why}"


class _Inputs:
    """The inputs that are checked and then timed: noise, and the plain network's results of it.

    The weights of a reference are rounded as those of the variants it is for.
    """

    def __init__(self, family: Family, device: torch.device, counts: Sequence[int]) -> None:
        self._family, self._device, self._counts = family, device, counts
        self._made: dict[torch.dtype, dict[int, tuple[Reference, PreparedCrops]]] = {}

    def of(self, dtype: torch.dtype) -> Mapping[int, tuple[Reference, PreparedCrops]]:
        """By total crops; made when first asked for."""
        if dtype not in self._made:
            backbone = random_backbone(self._family, self._device, dtype)
            plans = profile_plans(make_config(self._family), self._counts)
            self._made[dtype] = {}
            for plan in plans:
                reference = reference_of(self._family, backbone, plan.total_crops)
                crops = synthetic_crops(plan, self._device, dtype)
                state = reference.padding_state
                inputs = replace(crops, patches=reference.patches, padding_state=state)
                self._made[dtype][plan.total_crops] = reference, inputs
        return self._made[dtype]


def _passes(agreement: StageAgreement | None, variant: Variant) -> bool:
    """A variant whose weights are not ours has nothing to fail."""
    return agreement is None or agreement.holds(variant.precision)


def _cell_name(name: str, crops: int) -> str:
    return f"{name}, {crops} crops"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
