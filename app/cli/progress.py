"""Progress on stderr: a bar with the time left on a terminal, a line each tenth elsewhere."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import TextColumn

from app.report.progress import bar_on


class ProgressBar:
    """Shown while it is entered, and gone afterwards."""

    def __init__(self, told: Console) -> None:
        self._told, self._tenths = told, 0
        self._bar = bar_on(told, TextColumn("{task.percentage:>3.0f} %"))
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: float, what: str) -> None:
        """Show how much is ``done``, from 0 to 1, and what was done last."""
        self._bar.update(self._task, completed=done, description=what)
        tenths = int(done * 10)
        if tenths > self._tenths and not self._told.is_terminal:
            self._told.print(f"{tenths * 10} %, {what}")
        self._tenths = tenths
