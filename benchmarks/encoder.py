"""The encoder beside what a user would run instead: crops × variants, in one run.

``python -m benchmarks encoder`` needs torch alone. Every variant is checked against the plain
network in float32 at every number of crops; one that fails shows its error and no latency.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import get_args

import torch

from app.core.choices import DtypeChoice
from app.core.config import make_config
from app.core.families import DEFAULT_FAMILY, Family, family_named
from app.encoder.device import choose_device, choose_dtype, device_name
from app.encoder.encoder import PreparedCrops
from app.encoder.fidelity import Reference, StageAgreement
from app.encoder.loading import reference_of
from app.encoder.machine import MachineWatch, contention
from app.encoder.profile_plans import profile_plans, synthetic_crops
from app.encoder.random_weights import random_backbone
from app.encoder.runtimes.choose import available, on_request
from benchmarks.baselines import rivals
from benchmarks.conditions import conditions, result_name
from benchmarks.encoder_rows import HEADING, Row, line, rows_of
from benchmarks.passes import Cell, sample, warm_up
from benchmarks.timing import save
from benchmarks.variants import Variant, build, ours

COUNTS = {"cuda": (1, 2, 4, 7, 13), "cpu": (1, 4)}
ROUNDS = {"cuda": 500, "cpu": 7}
BUDGET_S = {"cuda": 120.0, "cpu": 420.0}
References = Mapping[tuple[torch.dtype, int], Reference]


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoder", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_FAMILY)
    parser.add_argument("--counts", type=int, nargs="+", help="total crops; by default by device")
    parser.add_argument("--rounds", type=int, help="by default 500 on a GPU, 7 on a CPU")
    parser.add_argument("--budget-s", type=float, help="no round starts after this")
    parser.add_argument("--dtype", choices=get_args(DtypeChoice), default="auto")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="variants; by default all")
    return parser.parse_args(arguments or [])


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and save it with every sample."""
    options = options_of(arguments)
    device, family = choose_device(), family_named(options.model)
    dtype = choose_dtype(options.dtype, device)
    counts = tuple(sorted(set(options.counts or COUNTS[device.type])))
    print(f"Encoder, {family.name}, random weights, {device_name(device)}, {conditions(device)}")
    watch = MachineWatch(device)
    rows, missing = compare_variants(
        family,
        device,
        dtype,
        counts,
        only=options.only,
        rounds=options.rounds or ROUNDS[device.type],
        budget_s=options.budget_s or BUDGET_S[device.type],
    )
    print(HEADING)
    for row in rows:
        print(line(row))
    for name, why in missing.items():
        print(f"       {name} could not be run: {why}")
    after = watch.after()
    contended = contention(watch.before, after)
    if contended:
        print(f"in doubt: {contended}")
    path = save(
        result_name("encoder", device),
        {
            **conditions(device),
            "model": family.name,
            "machine_before": asdict(watch.before),
            "machine_after": asdict(after),
            "contended": contended,
            "missing": missing,
            "rows": [row.to_json() for row in rows],
        },
    )
    print(f"saved as benchmarks/results/{path.name}")


def makers_of(
    family: Family, device: torch.device, dtype: torch.dtype, only: Sequence[str] | None
) -> dict[str, Callable[[], Variant]]:
    """All variants by name, ours first, in the order that ``auto`` tries them."""
    makers: dict[str, Callable[[], Variant]] = {
        name: partial(ours, name, family, device, dtype)
        for name in (*available(device, dtype), *on_request(device))
    }
    makers.update(rivals(family, device, dtype))
    if only is None:
        return makers
    unknown = set(only) - makers.keys()
    if unknown:
        raise SystemExit(f"no variant {', '.join(unknown)}; there are {', '.join(makers)}")
    return {name: make for name, make in makers.items() if name in only}


def compare_variants(
    family: Family,
    device: torch.device,
    dtype: torch.dtype,
    counts: Sequence[int],
    *,
    only: Sequence[str] | None = None,
    rounds: int,
    budget_s: float,
) -> tuple[list[Row], dict[str, str]]:
    """Check, warm and time all variants: the rows by crops, and why some could not be run."""
    built, missing = build(makers_of(family, device, dtype, only), device)
    held = {one.variant.name: one.held_bytes for one in built}
    variants = [one.variant for one in built]
    references = references_of(family, device, {one.dtype for one in variants}, counts)
    plans = {plan.total_crops: plan for plan in profile_plans(make_config(family), counts)}
    inputs = {
        (dtype, crops): _inputs(reference, synthetic_crops(plans[crops], device, dtype))
        for (dtype, crops), reference in references.items()
    }
    agreements: dict[Cell, StageAgreement | None] = {}
    peaks: dict[Cell, int | None] = {}
    for variant in list(variants):
        try:
            for crops in counts:
                cell = variant.name, crops
                agreements[cell] = variant.check(references[variant.dtype, crops])
                peak = warm_up(variant, inputs[variant.dtype, crops], device)
                holds = held[variant.name]
                peaks[cell] = None if holds is None else holds + peak
        except Exception as error:  # as in build: a package that fails is a line, not the end
            missing[variant.name] = f"{type(error).__name__}: {error}".splitlines()[0]
            variants.remove(variant)
    samples = sample(variants, counts, inputs, device, rounds=rounds, budget_s=budget_s)
    our_name = _our_name(variants, agreements, counts)
    rows = [
        row
        for crops in counts
        for variant in variants
        for row in rows_of(
            plans[crops],
            variant,
            agreements[variant.name, crops],
            samples,
            our_name,
            peaks[variant.name, crops],
        )
    ]
    return rows, missing


def references_of(
    family: Family, device: torch.device, dtypes: set[torch.dtype], counts: Sequence[int]
) -> References:
    """What the plain network makes in float32 of noise, with weights as each dtype rounds them."""
    references: dict[tuple[torch.dtype, int], Reference] = {}
    for dtype in dtypes:
        backbone = random_backbone(family, device, dtype)
        for crops in counts:
            references[dtype, crops] = reference_of(family, backbone, crops)
    return references


def _inputs(reference: Reference, crops: PreparedCrops) -> PreparedCrops:
    """What is timed is what was checked."""
    return replace(crops, patches=reference.patches, padding_state=reference.padding_state)


def _our_name(
    variants: Sequence[Variant],
    agreements: Mapping[Cell, StageAgreement | None],
    counts: Sequence[int],
) -> str | None:
    """Ours: the first variant that passes every check, as ``auto`` would choose."""
    for variant in variants:
        found = [agreements[variant.name, crops] for crops in counts]
        if all(one is not None and one.holds(variant.precision) for one in found):
            return variant.name
    return None


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
