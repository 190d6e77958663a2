"""How near every runtime comes to a reference, stage by stage; exit code 1 if one is too far.

``python -m benchmarks.fidelity FILE.safetensors`` compares with a reference backbone's own outputs
(the layout is in :mod:`benchmarks.reference_file`). Without a file, random weights at full size are
compared with the plain network in float32.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from app.core.choices import DtypeChoice
from app.core.families import DEFAULT_FAMILY, family_named
from app.encoder.backbone import VisionBackbone
from app.encoder.device import choose_device, choose_dtype, device_name, dtype_name
from app.encoder.fidelity import (
    MAX_RELATIVE_ERROR,
    MIN_COSINE,
    Reference,
    StageAgreement,
    compare,
)
from app.encoder.loading import reference_of
from app.encoder.random_weights import random_backbone
from app.encoder.runtimes.choose import MAKERS, available, exact_as, on_request
from benchmarks.reference_file import read_reference

COUNTS = {"cuda": (1, 4, 13), "cpu": (1,)}


@dataclass(frozen=True, slots=True)
class Found:
    """What one runtime came to; ``error`` where it does not work here."""

    runtime: str
    total_crops: int
    agreement: StageAgreement | None
    error: str = ""

    def holds(self, dtype: torch.dtype) -> bool:
        return self.agreement is not None and self.agreement.holds(dtype)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="weights, inputs and outputs")
    parser.add_argument("--model", help="the family; by default that of the file's layout")
    parser.add_argument("--dtype", choices=get_args(DtypeChoice), nargs="+")
    parser.add_argument("--runtime", nargs="+", help="by default all that work here")
    parser.add_argument("--counts", type=int, nargs="+", help="total crops, without a file")
    return parser.parse_args(arguments or [])


def main(arguments: list[str] | None = None) -> None:
    """Print a line a runtime and stage; leaves by ``sys.exit(1)`` if one is too far."""
    options = options_of(arguments)
    device = choose_device()
    choices = options.dtype or (["float32"] if options.file else ["auto"])
    failed: list[str] = []
    for dtype in dict.fromkeys(choose_dtype(choice, device) for choice in choices):
        print(f"{options.file or 'random weights'}, {dtype_name(dtype)}, {device_name(device)}")
        names = options.runtime or (*available(device, dtype), *on_request(device))
        for name in names:
            for found in _compare(options, name, device, dtype):
                print_found(found, exact_as(name, dtype))
                if not found.holds(exact_as(name, dtype)):
                    failed.append(f"{name} ({dtype_name(dtype)}, {found.total_crops} crops)")
    if failed:
        sys.exit(f"too far from the reference: {', '.join(failed)}")


def _compare(
    options: argparse.Namespace, name: str, device: torch.device, dtype: torch.dtype
) -> Iterator[Found]:
    if options.file:
        source = read_reference(options.file, options.model)
        make = partial(source.backbone, device, dtype)
        yield from compare_runtime(name, make, [_on(source.reference, device)], dtype)
        return
    family = family_named(options.model or DEFAULT_FAMILY)
    backbone = random_backbone(family, device, dtype)
    counts = options.counts or COUNTS[device.type]
    references = [reference_of(family, backbone, count) for count in counts]
    yield from compare_runtime(name, lambda: backbone, references, dtype)


def compare_runtime(
    name: str,
    make_backbone: Callable[[], VisionBackbone],
    references: list[Reference],
    dtype: torch.dtype,
) -> Iterator[Found]:
    """One runtime against references, which were made before: it takes the backbone over."""
    crops = [len(reference.patches) for reference in references]
    try:
        runtime = MAKERS[name](make_backbone(), references[0])
        for count, reference in zip(crops, references, strict=True):
            yield Found(name, count, compare(runtime, reference, dtype))
    except RuntimeError as error:
        yield Found(name, crops[0], None, str(error).splitlines()[0])


def print_found(found: Found, dtype: torch.dtype) -> None:
    """A line a stage; both stages in a row have no limit of their own."""
    start = f"  {found.runtime:<18}{found.total_crops:>3} crops  "
    if found.agreement is None:
        print(f"{start}does not work here: {found.error}")
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
    main(sys.argv[1:])
