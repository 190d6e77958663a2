"""Define ``profile``: time each component over a set of images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.cli.inputs import read_settings
from app.cli.options import (
    CheckpointOption,
    Configuration,
    DeviceOption,
    DtypeOption,
    FileJsonOption,
    ImageSet,
    MarginsOption,
    MaxCropsOption,
    ModelOption,
    WarmupOption,
    grouped,
)
from app.cli.outputs import check_result, write_result
from app.cli.problems import PARTLY
from app.report.timing.timing_file import TIMING_FILE


@grouped
def profile(
    source: ImageSet,
    num_images: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="At most N images, spread over the crop counts; else all."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Timed passes of each.")] = 5,
    warmup: WarmupOption = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER|FILE",
            help=f"Where {TIMING_FILE}, or FILE.json, goes.",
        ),
    ] = Path("results"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    checkpoint: CheckpointOption = None,
    model: ModelOption = None,
    max_crops: MaxCropsOption = None,
    overlap_margins: MarginsOption = None,
    as_json: FileJsonOption = False,
) -> None:
    """Write a timing of each image: decode, preprocess, ViT, connector.

    Exit code 3: some images were skipped. Without a checkpoint the weights are random and the times
    are real.
    """
    settings = read_settings(device=device, dtype=dtype)
    config = Configuration(model, max_crops, overlap_margins).effective(settings)
    file = out if out.suffix.lower() == ".json" and not out.is_dir() else out / TIMING_FILE
    check_result(file, force=force)
    # Late: torch takes seconds to import.
    from app.cli.measuring import time_images
    from app.cli.tables.timing_table import print_components
    from app.cli.terminal import console, print_skipped
    from app.report.dataset.images import open_dataset
    from app.report.progress import bars

    with bars(console(stderr=True)) as progress:
        dataset = open_dataset(
            source.dataset,
            source.split,
            images=source.images,
            max_pixels=settings.max_pixels,
            progress=partial(progress, "reading sizes"),
        )
    timing, conditions, text = time_images(
        dataset,
        config,
        settings,
        num_images=num_images,
        repeats=repeats,
        warmup_s=warmup,
        checkpoint=checkpoint,
    )
    write_result(file, text)
    print_skipped(timing.skipped)
    if as_json:
        typer.echo(text, nl=False)
    else:
        print_components(config.family, timing, conditions, file)
    if timing.skipped:
        raise typer.Exit(PARTLY)
