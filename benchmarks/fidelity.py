"""Compare every runtime with a reference, stage by stage; exit code 1 if a runtime is too far.

``python -m benchmarks.fidelity FILE.safetensors`` compares with a reference backbone's own outputs
(:mod:`benchmarks.reference_file` has the layout). Without a file, the runtimes are compared with
the plain network in float32, with random weights at full size, for a family of each generation at
several numbers of crops. The result is saved after every number of crops.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch

from app.encoder.device.choices import DtypeChoice
from app.encoder.device.device import choose_device, choose_dtype, device_name, dtype_name
from app.encoder.loading import reference_of
from app.encoder.network.backbone import VisionBackbone
from app.encoder.runtimes.choose import MAKERS, available, exact_as, on_request
from app.encoder.runtimes.fidelity import (
    MAX_RELATIVE_ERROR,
    MIN_COSINE,
    Reference,
    StageAgreement,
    compare,
)
from app.encoder.synthetic import random_backbone
from benchmarks.conditions import add_model, conditions, family_of, result_name, show_log
from benchmarks.reference_file import read_reference
from benchmarks.timing import Budget, save

MODELS = ("molmo-7b-d-0924", "molmo2-4b")
COUNTS = {"cuda": (1, 4, 13), "cpu": (1,)}
TAKES_LONG = "compiled"
"""The runtime to compare only by its name."""


@dataclass(frozen=True, slots=True)
class Found:
    """Hold the agreement of one runtime, or the ``error`` of a runtime that does not work."""

    runtime: str
    total_crops: int
    agreement: StageAgreement | None
    error: str = ""

    def holds(self, dtype: torch.dtype) -> bool:
        return self.agreement is not None and self.agreement.holds(dtype)


@dataclass(frozen=True, slots=True)
class Case:
    """Compare one runtime of one family in one dtype with references of the same weights."""

    model: str
    runtime: str
    dtype: torch.dtype
    make: Callable[[], Iterator[Found]]

    @property
    def precision(self) -> torch.dtype:
        return exact_as(self.runtime, self.dtype)

    def to_json(self, found: Found) -> dict[str, Any]:
        """Return the agreement, with ``holds`` for an error within the limits."""
        case = {"model": self.model, "dtype": dtype_name(self.dtype)}
        return {**case, **asdict(found), "holds": found.holds(self.precision)}


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="weights, inputs and outputs")
    add_model(parser, default=None)
    parser.add_argument("--dtype", choices=get_args(DtypeChoice), nargs="+")
    parser.add_argument("--runtime", nargs="+", help="by default all that work here and load soon")
    parser.add_argument("--counts", type=int, nargs="+", help="total crops, without a file")
    parser.add_argument("--budget-s", type=float, default=600, help="no case starts after this")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print a line for each runtime and stage; exit with code 1 if a runtime is too far."""
    options = options_of(arguments)
    show_log()
    budget, device = Budget(options.budget_s), choose_device()
    print(f"{options.file or 'random weights'}, {device_name(device)}")
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    left_out: list[str] = []
    for case in _cases(options, device):
        name = f"{case.model}, {dtype_name(case.dtype)}, {case.runtime}"
        if budget.spent():
            left_out.append(name)
            continue
        print(name, flush=True)
        for found in case.make():
            print_found(found, case.precision)
            rows.append(case.to_json(found))
            if not options.file:
                save(result_name("fidelity", device), {**conditions(device), "rows": rows})
            if not found.holds(case.precision):
                failed.append(f"{name} at {found.total_crops} crops")
    if left_out:
        print(f"no time was left for {'; '.join(left_out)}")
    if failed:
        sys.exit(f"too far from the reference: {'; '.join(failed)}")


def _cases(options: argparse.Namespace, device: torch.device) -> Iterator[Case]:
    """List every wished runtime of every wished family."""
    choices = options.dtype or (["float32"] if options.file else ["auto"])
    for model in [options.model] if options.model or options.file else MODELS:
        shown = options.file.name if options.file else family_of(options, model).name
        for dtype in dict.fromkeys(choose_dtype(choice, device) for choice in choices):
            offered = (*available(device, dtype), *on_request(device))
            names = options.runtime or [name for name in offered if name != TAKES_LONG]
            for name in names:
                compared = _from_file if options.file else _at_random
                make = partial(compared, options, model, name, device, dtype)
                yield Case(shown, name, dtype, make)


def _from_file(
    options: argparse.Namespace,
    model: str | None,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[Found]:
    source = read_reference(options.file, model)
    make = partial(source.backbone, device, dtype)
    return compare_runtime(name, make, [_on(source.reference, device)], dtype)


def _at_random(
    options: argparse.Namespace, model: str, name: str, device: torch.device, dtype: torch.dtype
) -> Iterator[Found]:
    family = family_of(options, model)
    backbone = random_backbone(family, device, dtype)
    counts = options.counts or COUNTS[device.type]
    references = [reference_of(family, backbone, count) for count in counts]
    return compare_runtime(name, lambda: backbone, references, dtype)


def compare_runtime(
    name: str,
    make_backbone: Callable[[], VisionBackbone],
    references: list[Reference],
    dtype: torch.dtype,
) -> Iterator[Found]:
    """Compare one runtime with references made before, as the runtime takes the backbone over."""
    crops = [len(reference.patches) for reference in references]
    try:
        runtime = MAKERS[name](make_backbone(), references[0])
        for count, reference in zip(crops, references, strict=True):
            yield Found(name, count, compare(runtime, reference, dtype))
    except Exception as error:  # a failure is a line of the table, and the others go on
        yield Found(name, crops[0], None, f"{type(error).__name__}: {error}".splitlines()[0])


def print_found(found: Found, dtype: torch.dtype) -> None:
    """Print a line for each stage. Both stages in a row have no limit."""
    start = f"  {found.runtime:<18}{found.total_crops:>3} crops  "
    if found.agreement is None:
        print(f"{start}does not work here: {found.error}", flush=True)
        return
    for stage in fields(StageAgreement):
        agreement = getattr(found.agreement, stage.name)
        judged = "" if stage.name == "tokens" else "ok" if agreement.holds(dtype) else "TOO FAR"
        print(
            f"{start}{stage.name:<10} relative error {agreement.relative_error:.2e} "
            f"(limit {MAX_RELATIVE_ERROR[dtype]:.0e})  min cosine {agreement.min_cosine:.6f} "
            f"(limit {MIN_COSINE[dtype]})  {judged}"
        )


def _on(reference: Reference, device: torch.device) -> Reference:
    moved = {one.name: getattr(reference, one.name).to(device) for one in fields(Reference)}
    return replace(reference, **moved)


if __name__ == "__main__":
    main()
