"""Print the times of components as a table."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from app.cli.tables.plan_table import Columns, table_of
from app.cli.tables.profile_table import doubts, milliseconds
from app.cli.terminal import console
from app.core.plan.families import Family
from app.report.timing.components import ComponentTiming, ImageComponents, median_ms
from app.report.timing.timing_file import Conditions


def print_components(
    family: Family, timing: ComponentTiming, conditions: Conditions, file: Path
) -> None:
    """Print the medians for each number of crops, and the conditions."""
    out = console()
    out.print(
        Text.assemble(
            (family.name, "bold"),
            f" on {conditions.device}, {conditions.dtype}, {conditions.runtime}, "
            f"{conditions.weights} weights",
        )
    )
    out.print()
    out.print(_components(timing, doubtful=conditions.contended is not None))
    unsettled = (crops for crops, warmup in timing.warmups.items() if not warmup.settled)
    for doubt in doubts(conditions.contended, unsettled):
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


def _columns(*, has_bus: bool, doubtful: bool) -> Columns[list[ImageComponents]]:
    """Give vision a column of its own: medians do not add up."""
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
