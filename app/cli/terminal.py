"""Print to a terminal: answers on stdout, progress and skipped images on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import typer
from rich.console import Console

if TYPE_CHECKING:
    from app.report.errors import Skipped

_UNLIMITED = 10_000

MOST_SHOWN = 10
"""Name at most this number of skipped images; the JSON file names all."""


def console(*, stderr: bool = False) -> Console:
    """Make a console that prints plain text, and cuts no line if no terminal sets a width."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _UNLIMITED
    return made


def printable(text: str) -> str:
    """Replace line breaks and escape sequences; the names of files may hold them."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def print_json(answer: object) -> None:
    """Print the bytes of the HTTP answer, indented on a terminal."""
    from app.schemas.answer import to_json  # late: pydantic takes a while to import

    typer.echo(to_json(answer, indent=2 if sys.stdout.isatty() else None))


class ProgressBar:
    """Show a bar with the time left on a terminal, and a line each tenth elsewhere."""

    def __init__(self, told: Console) -> None:
        from rich.progress import TextColumn  # late: most commands show no bar

        from app.report.progress import bar_on

        self._told, self._tenths = told, 0
        self._bar = bar_on(told, TextColumn("{task.percentage:>3.0f} %"))
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: float, step: str) -> None:
        """Show the part that is ``done``, from 0 to 1, and the last step."""
        self._bar.update(self._task, completed=done, description=step)
        tenths = int(done * 10)
        if tenths > self._tenths and not self._told.is_terminal:
            self._told.print(f"{tenths * 10} %, {step}")
        self._tenths = tenths


def print_skipped(skipped: Sequence[Skipped]) -> None:
    """Name skipped images on stderr: their number, and the first of them with reasons."""
    if not skipped:
        return
    told = console(stderr=True)
    images = "image" if len(skipped) == 1 else "images"
    told.print(f"{len(skipped):,} {images} skipped:", style="yellow")
    for one in skipped[:MOST_SHOWN]:
        told.print(f"  {printable(one.name)}: {printable(one.reason)}")
    if len(skipped) > MOST_SHOWN:
        told.print(f"  … and {len(skipped) - MOST_SHOWN:,} more, named in the JSON file")
