"""Arguments of the commands that read a set of images, and write what they found of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DatasetArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        exists=True,
        help="A folder of images, a COCO-style annotation file, or a folder with splits.",
    ),
]
SplitOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="One of several, such as val2017.")
]
ImagesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="The files of an annotation file; by default looked for beside it.",
    ),
]
FileJsonOption = Annotated[
    bool, typer.Option("--json", help="Print what the JSON file holds; errors too, on stderr.")
]
