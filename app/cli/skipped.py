"""Images of a data set that were skipped, named on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.cli.output import console, printable

if TYPE_CHECKING:
    from app.report.dataset.images import Skipped

MOST_SHOWN = 10
"""The JSON file that is written has all of them."""


def print_skipped(skipped: Sequence[Skipped]) -> None:
    """How many, and the first of them with their reasons; nothing where there are none."""
    if not skipped:
        return
    told = console(stderr=True)
    images = "image" if len(skipped) == 1 else "images"
    told.print(f"{len(skipped):,} {images} skipped:", style="yellow")
    for one in skipped[:MOST_SHOWN]:
        told.print(f"  {printable(one.name)}: {printable(one.reason)}")
    if len(skipped) > MOST_SHOWN:
        told.print(f"  … and {len(skipped) - MOST_SHOWN:,} more, named in the JSON file")
