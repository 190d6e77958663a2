"""Time the encoder beside its rivals: crops × variants, in one run.

``python -m benchmarks encoder`` needs torch alone. Every variant is checked against the plain
network in float32 at every number of crops. A failed check shows its error and no latency. The
result is saved after every cell and every round, so a killed run leaves its results so far.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, get_args

import torch

from app.core.plan.families import Family
from app.encoder.device.choices import DtypeChoice
from app.encoder.device.device import choose_device, choose_dtype, device_name
from app.encoder.measuring.machine import MachineWatch, contention
from app.encoder.runtimes.choose import available, on_request
from benchmarks.aims import against_aims
from benchmarks.baselines import compiled_rivals, rivals
from benchmarks.conditions import add_model, conditions, family_of, result_name, show_log
from benchmarks.encoder_rows import HEADING, line
from benchmarks.table import Counts, Makers, Table
from benchmarks.timing import Budget, save
from benchmarks.variants import Variant, ours

COUNTS = {"cuda": (1, 4, 7, 9, 12, 13), "cpu": (1, 4)}
STAIRCASE = {"cuda": (*COUNTS["cuda"], 2, 3, 5, 6, 8, 10, 11), "cpu": COUNTS["cpu"]}
"""Numbers of crops for the first runtime of ``auto``: the rivals' numbers, then the others."""
ROUNDS = {"cuda": 500, "cpu": 7}
BUDGET_S = {"cuda": 180.0, "cpu": 420.0}


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoder", description=__doc__)
    add_model(parser)
    parser.add_argument("--counts", type=int, nargs="+", help="total crops; by default by device")
    parser.add_argument("--rounds", type=int, help="by default 500 on a GPU, 7 on a CPU")
    parser.add_argument("--budget-s", type=float, help="no round starts after this")
    parser.add_argument("--dtype", choices=get_args(DtypeChoice), default="auto")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="variants; 'ours' is what auto tries first"
    )
    parser.add_argument(
        "--not-compiled", action="store_true", help="leave out what torch.compile makes"
    )
    parser.add_argument("--name", default="encoder", help="what the result's file begins with")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and save it with every sample."""
    options = options_of(arguments)
    show_log()
    device, family = choose_device(), family_of(options)
    budget = Budget(options.budget_s or BUDGET_S[device.type])
    dtype = choose_dtype(options.dtype, device)
    print(f"Encoder, {family.name}, random weights, {device_name(device)}, {conditions(device)}")
    names = our_names(device, dtype)
    table = Table(family, device, _counts_of(options, device), names, budget)
    watch = MachineWatch(device)
    makers = makers_of(family, device, dtype, options.only, compiled=not options.not_compiled)
    told = {**conditions(device), "model": family.name, "machine_before": asdict(watch.before)}
    name = result_name(options.name, device)
    for done in table.fill(makers, options.rounds or ROUNDS[device.type]):
        save(name, {**told, **_known(table)})
        print(f"  {done}", flush=True)
    after = watch.after()
    told |= {"machine_after": asdict(after), "contended": contention(watch.before, after)}
    result = {**told, **_known(table)}
    path = save(name, result)
    _show(result, table)
    print(f"saved as benchmarks/results/{path.name}")
    if all(row["ms"] is None for row in result["rows"]):
        raise SystemExit("nothing was timed")


def our_names(device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """List our runtimes in the order of ``auto``, then the runtimes used only by name."""
    return (*available(device, dtype), *on_request(device))


def makers_of(
    family: Family,
    device: torch.device,
    dtype: torch.dtype,
    only: Sequence[str] | None = None,
    *,
    compiled: bool = True,
) -> Makers:
    """Return the makers by name: our runtimes, then rivals, then the compiled variants."""
    names = our_names(device, dtype)
    makers: dict[str, Callable[[], Variant]] = {
        name: partial(ours, name, family, device, dtype) for name in names
    }
    # Compiled variants come last, as a compilation may take the rest of the time.
    ours_compiled = {name: makers.pop(name) for name in names if name == "compiled"}
    makers.update(rivals(family, device, dtype))
    if compiled:
        makers.update(compiled_rivals(family, device, dtype))
        makers.update(ours_compiled)
    if only is None:
        return makers
    wanted = {names[0] if name == "ours" else name for name in only}
    unknown = wanted - makers.keys()
    if unknown:
        raise SystemExit(
            f"no variant {', '.join(sorted(unknown))}; there are ours, {', '.join(makers)}"
        )
    return {name: make for name, make in makers.items() if name in wanted}


def _counts_of(options: argparse.Namespace, device: torch.device) -> Counts:
    if options.counts:
        counts = tuple(dict.fromkeys(options.counts))
        return Counts(counts, counts)
    return Counts(STAIRCASE[device.type], COUNTS[device.type])


def _known(table: Table) -> dict[str, Any]:
    """Return the table so far, for the saved result."""
    return {
        "ours": table.our_name,
        "missing": table.missing,
        "rows": [asdict(row) for row in table.rows()],
    }


def _show(result: dict[str, Any], table: Table) -> None:
    print(HEADING)
    for row in table.rows():
        print(line(row))
    for name, why in table.missing.items():
        print(f"       {name} could not be run: {why}")
    if result["contended"]:
        print(f"in doubt: {result['contended']}")
    for said in against_aims(result):
        print(said)


if __name__ == "__main__":
    main()
