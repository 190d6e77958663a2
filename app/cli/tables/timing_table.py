"""Print the times of components as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from app.cli.tables.plan_table import table_of
from app.cli.tables.profile_table import milliseconds
from app.cli.terminal import console
from app.report.timing.components import ComponentTiming, ImageComponents, median_ms

if TYPE_CHECKING:
    from app.cli.measuring import Timed

Column = tuple[str, Callable[[list[ImageComponents]], str]]


def print_components(timed: Timed, file: Path) -> None:
    """Print the medians for each number of crops, and the conditions."""
    out, conditions = console(), timed.conditions
    out.print(
        Text.assemble(
            (timed.config.family.name, "bold"),
            f" on {conditions.device}, {conditions.dtype}, {conditions.runtime}, "
            f"{conditions.weights} weights",
        )
    )
    out.print()
    out.print(_components(timed.timing, doubtful=conditions.contended is not None))
    for doubt in _doubts(timed):
        out.print(doubt, style="yellow")
    out.print(Text.assemble("saved to ", (str(file), "bold green")))


def _components(timing: ComponentTiming, *, doubtful: bool) -> Table:
    groups: dict[int, list[ImageComponents]] = defaultdict(list)
    for image in timing.images:
        groups[image.subject.plan.total_crops].append(image)
    has_bus = median_ms(timing.images, "transfer") is not None
    shown = _columns(has_bus=has_bus, doubtful=doubtful)
    rows = (images for _, images in sorted(groups.items()))
    return table_of("Median of each component, ms", shown, rows)


def _columns(*, has_bus: bool, doubtful: bool) -> Iterator[Column]:
    """Yield headings with the text of their cells.

    Vision has a column of its own: medians do not add up.
    """
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


def _doubts(timed: Timed) -> Iterator[str]:
    contended = timed.conditions.contended
    if contended is not None:
        yield f"in doubt: {contended}; minima and CPU time stand beside the medians"
    unsettled = [str(c) for c, warmup in timed.timing.warmups.items() if not warmup.settled]
    if unsettled:
        yield f"not yet settled when the timed passes began: {', '.join(unsettled)} crops in all"
