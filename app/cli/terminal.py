"""Print to a terminal: answers on stdout, progress and skipped images on stderr."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import TextColumn

from app.report.errors import Skipped
from app.report.progress import bar_on
from app.schemas.answer import to_json

_UNLIMITED = 10_000

PARTLY = 3
"""Exit with this code after all is written and some images were skipped."""

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
    typer.echo(to_json(answer, indent=2 if sys.stdout.isatty() else None))


@contextmanager
def progress_bar(told: Console) -> Iterator[Callable[[float, str], None]]:
    """Show a bar with the time left on a terminal, and a line each tenth elsewhere.

    The yielded function takes the part that is done, from 0 to 1, and the last step.
    """
    told_tenths = 0
    with bar_on(told, TextColumn("{task.percentage:>3.0f} %")) as bar:
        task = bar.add_task("starting", total=1.0)

        def update(done: float, step: str) -> None:
            nonlocal told_tenths
            bar.update(task, completed=done, description=step)
            tenths = int(done * 10)
            if tenths > told_tenths and not told.is_terminal:
                told.print(f"{tenths * 10} %, {step}")
            told_tenths = tenths

        yield update


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
