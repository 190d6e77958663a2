"""What the components took, as a table."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from app.cli.output import console
from app.cli.profile_tables import milliseconds
from app.cli.tables import columns
from app.core.timings import Percentiles

if TYPE_CHECKING:
    from app.cli.profiling import Done
    from app.report.component_profiling import ImageComponents

_COLUMNS = {
    "decode": "Decode>",
    "preprocess": "Pre-\nprocess>",
    "transfer": "Of it\ntransfer>",
    "vit": "ViT>",
    "connector": "Con-\nnector>",
    "vision": "Vision>",
}
"""Vision is ViT and connector timed as one: medians do not add up."""


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
    if conditions.contended is not None:
        out.print(f"in doubt: {conditions.contended}", style="yellow")
    out.print()
    groups: dict[int, list[ImageComponents]] = defaultdict(list)
    for image in done.profiling.images:
        groups[image.subject.plan.total_crops].append(image)
    shown = {
        component: heading
        for component, heading in _COLUMNS.items()
        if any(image.samples_ms(component) for image in done.profiling.images)
    }
    table = columns("Median of each component, ms", "Total\ncrops>", "Images>", *shown.values())
    for crops, images in sorted(groups.items()):
        medians = (_median(images, component) for component in shown)
        table.add_row(str(crops), f"{len(images):,}", *medians)
    out.print(table)
    unsettled = [str(c) for c, warmup in done.profiling.warmups.items() if not warmup.settled]
    if unsettled:
        out.print(f"not yet settled when the rounds began: {', '.join(unsettled)} crops in all")
    out.print(Text.assemble("saved to ", (str(file), "bold green")))


def _median(images: list[ImageComponents], component: str) -> str:
    found = Percentiles.of_any([ms for image in images for ms in image.samples_ms(component)])
    return "–" if found is None else milliseconds(found.p50)
