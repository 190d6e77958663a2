"""Show the progress of an experiment as bars on a terminal."""

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
"""Call with the name of the step, the number done, and the number of all."""


def bar_on(console: Console, how_much: ProgressColumn) -> RichProgress:
    """Make bars with a name, an amount, and the time spent and left; they vanish at the end.

    A console that is no terminal shows nothing.
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
    """Show bars on ``console``, by default stderr; a pipe or a log gets nothing."""
    shown = bar_on(console or Console(stderr=True), MofNCompleteColumn())
    tasks: dict[str, TaskID] = {}

    def update(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = shown.add_task(what, total=total)
        shown.update(tasks[what], completed=done, total=total)

    with shown:
        yield update
