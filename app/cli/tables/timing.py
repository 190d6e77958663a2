"""What the components took, as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from app.cli.output import console
from app.cli.tables.plan import columns
from app.cli.tables.profile import milliseconds
from app.report.timing.components import ComponentProfiling, ImageComponents, median_ms

if TYPE_CHECKING:
    from app.cli.profiling import Done

Column = tuple[str, Callable[[list[ImageComponents]], str]]


def print_components(done: Done, file: Path) -> None:
    """Print the medians for each number of crops, and what they were measured under."""
    out, conditions = console(), done.conditions
    out.print(
        Text.assemble(
            (done.config.family.name, "bold"),
            f" on {conditions.device}, {conditions.dtype}, {conditions.runtime}, "
            f"{conditions.weights} weights",
        )
    )
    out.print()
    out.print(_components(done.profiling, doubtful=conditions.contended is not None))
    for doubt in _doubts(done):
        out.print(doubt, style="yellow")
    out.print(Text.assemble("saved to ", (str(file), "bold green")))


def _components(profiling: ComponentProfiling, *, doubtful: bool) -> Table:
    groups: dict[int, list[ImageComponents]] = defaultdict(list)
    for image in profiling.images:
        groups[image.subject.plan.total_crops].append(image)
    has_bus = median_ms(profiling.images, "transfer") is not None
    shown = list(_columns(has_bus=has_bus, doubtful=doubtful))
    table = columns("Median of each component, ms", *(heading for heading, _ in shown))
    for _, images in sorted(groups.items()):
        table.add_row(*(cell(images) for _, cell in shown))
    return table


def _columns(*, has_bus: bool, doubtful: bool) -> Iterator[Column]:
    """Headings, and what stands below them. Vision is timed as one: medians do not add up."""
    yield "Total\ncrops>", lambda images: str(images[0].subject.plan.total_crops)
    yield "Images>", lambda images: f"{len(images):,}"
    yield "Decode>", lambda images: _median(images, "decode")
    yield "Pre-\nprocess>", lambda images: _median(images, "preprocess")
    if has_bus:
        yield "Of it\ntransfer>", lambda images: _median(images, "transfer")
    yield "ViT>", lambda images: _median(images, "vit")
    yield "Con-\nnector>", lambda images: _median(images, "connector")
    yield "Vision>", lambda images: _median(images, "vision")
    if doubtful:
        yield "Vision,\nmin>", _fastest
        yield "Vision,\nCPU time>", lambda images: _median(images, "cpu")


def _median(images: list[ImageComponents], component: str) -> str:
    ms = median_ms(images, component)
    return "–" if ms is None else milliseconds(ms)


def _fastest(images: list[ImageComponents]) -> str:
    return milliseconds(min(min(image.samples_ms("vision")) for image in images))


def _doubts(done: Done) -> Iterator[str]:
    contended = done.conditions.contended
    if contended is not None:
        yield f"in doubt: {contended}; minima and CPU time stand beside the medians"
    unsettled = [str(c) for c, warmup in done.profiling.warmups.items() if not warmup.settled]
    if unsettled:
        yield f"not yet settled when the timed passes began: {', '.join(unsettled)} crops in all"
