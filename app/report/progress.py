"""How far an experiment is: a bar for each thing that is done, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


def bar_on(console: Console, how_much: ProgressColumn) -> RichProgress:
    """Bars of what is done, how much of it, and the time spent and left, gone when all is done.

    None where ``console`` is no terminal.
    """
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        how_much,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def bars(console: Console | None = None) -> Iterator[Progress]:
    """Bars on ``console``, by default stderr, gone when all is done; none where it is no terminal.

    A pipe or a log gets nothing: what was done is said at the end.
    """
    shown = bar_on(console or Console(stderr=True), MofNCompleteColumn())
    tasks: dict[str, TaskID] = {}

    def update(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = shown.add_task(what, total=total)
        shown.update(tasks[what], completed=done, total=total)

    with shown:
        yield update
