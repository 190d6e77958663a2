"""Arguments of the commands that run the encoder to measure it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.encoder.device.choices import DeviceChoice, DtypeChoice

WarmupOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="S",
        help="Most seconds to warm a number of crops up until its times settle; "
        "by default 2 on a CPU, 10 on a GPU.",
    ),
]
DeviceOption = Annotated[
    DeviceChoice | None,
    typer.Option(help="By default CROP_PLANNER_DEVICE, else auto."),
]
DtypeOption = Annotated[
    DtypeChoice | None,
    typer.Option(help="By default CROP_PLANNER_DTYPE, else auto."),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="Safetensors; by default CROP_PLANNER_CHECKPOINT, else random weights.",
    ),
]
