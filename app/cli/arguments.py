"""Arguments that several commands take, and how their text is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from app import notation
from app.core.errors import InvalidConfig
from app.core.plan.config import MAX_CROPS_LIMIT
from app.core.plan.geometry import Grid, Size
from app.imaging.write.render import DEFAULT_QUALITY, OutputFormat
from app.imaging.write.resample import Resample

T = TypeVar("T")


def parse_size(text: str) -> Size:
    """``640x480`` as a width of 640 and a height of 480 px."""
    match = re.fullmatch(r"(\d{1,7})x(\d{1,7})", text.strip(), re.ASCII)
    if match is None:
        raise typer.BadParameter("a size is WIDTHxHEIGHT in px, for example 640x480")
    return Size(int(match[1]), int(match[2]))


def parse_grid(text: str) -> Grid:
    """``2x3`` as 2 rows and 3 columns."""
    return _parsed(notation.parse_grid, text)


def parse_margins(text: str) -> tuple[int, int]:
    """``4,4`` as patches at (left and top, right and bottom)."""
    return _parsed(notation.parse_margins, text, hint="--overlap-margins")


def parse_aspect(text: str) -> Size:
    """``4:3`` or ``1.5`` in lowest terms, as a size."""
    return _parsed(notation.parse_aspect, text)


def parse_counts(text: str) -> tuple[int, ...]:
    """``1-4,8`` as 1, 2, 3, 4 and 8 total crops."""
    counts: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part.strip(), re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= MAX_CROPS_LIMIT + 1:
            raise typer.BadParameter(
                f"these are total crops from 1 to {MAX_CROPS_LIMIT + 1}, as in 1-13 or 1,5,9",
                param_hint="--counts",
            )
        counts |= set(range(first, last + 1))
    return tuple(sorted(counts))


def _parsed(parse: Callable[[str], T], text: str, *, hint: str | None = None) -> T:
    """As the core reads it; what it refuses is a wrong argument here."""
    try:
        return parse(text.strip())
    except InvalidConfig as error:
        raise typer.BadParameter(error.detail, param_hint=hint) from None


_CONFIGURATION = "Configuration"

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Model family; by default CROP_PLANNER_MODEL, else molmo-7b-d-0924.",
        rich_help_panel=_CONFIGURATION,
    ),
]
MaxCropsOption = Annotated[
    int | None,
    typer.Option(
        "--max-crops",
        metavar="N",
        help=f"Most grid crops, 1 to {MAX_CROPS_LIMIT}; by default the family's.",
        rich_help_panel=_CONFIGURATION,
    ),
]
# Text, as Typer would take a tuple for an option of two arguments.
MarginsOption = Annotated[
    str | None,
    typer.Option(
        "--overlap-margins",
        metavar="LEFT,RIGHT",
        help="Patches dropped at the left and top, and at the right and bottom, of a crop.",
        rich_help_panel=_CONFIGURATION,
    ),
]
CropSizeOption = Annotated[
    int | None,
    typer.Option(
        "--crop-size-px",
        metavar="PX",
        help="Side of a crop, a multiple of the patch; by default the family's.",
        rich_help_panel=_CONFIGURATION,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the JSON of the HTTP call; errors too, on stderr.")
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Give latencies from this profile, as `measure` saved it; by default "
        "CROP_PLANNER_PROFILE.",
    ),
]
ImageArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", exists=True, dir_okay=False, readable=True, help="The image file."
    ),
]
FormatOption = Annotated[
    OutputFormat | None,
    typer.Option("--format", help="By default what OUT ends in, else the image's own or PNG."),
]
QualityOption = Annotated[
    int | None,
    typer.Option(min=1, max=100, help=f"Of jpeg and webp; by default {DEFAULT_QUALITY}."),
]
ResampleOption = Annotated[Resample, typer.Option(help="Filter of the resize.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="OUT",
        dir_okay=False,
        help="File to write; by default beside the image, as in photo.4crops.jpg.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite OUT.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done; write nothing.")
]
