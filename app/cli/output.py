"""Where answers are printed: tables for people, JSON for programs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pydantic import BaseModel

_UNLIMITED = 10_000


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is, and cuts nothing where no terminal sets a width."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _UNLIMITED
    return made


def printable(text: str) -> str:
    """``text`` for a terminal: file names may hold line breaks and escape sequences."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def print_json(answer: BaseModel) -> None:
    """The bytes of the HTTP answer; indented where a person reads them."""
    typer.echo(answer.model_dump_json(indent=2 if sys.stdout.isatty() else None))
