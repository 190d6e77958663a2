"""``profile``: what each component takes, over the images of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.arguments import MarginsOption, MaxCropsOption, ModelOption
from app.cli.dataset_arguments import DatasetArgument, FileJsonOption, ImagesOption, SplitOption
from app.cli.device_arguments import CheckpointOption, DeviceOption, DtypeOption, WarmupOption
from app.cli.files import check_result
from app.cli.inputs import effective_config, read_settings
from app.cli.problems import PARTLY
from app.report.timing.profiling_file import PROFILING_FILE


def profile(
    dataset: DatasetArgument,
    split: SplitOption = None,
    images: ImagesOption = None,
    num_images: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Only so many, evenly over the crop counts; by default all."
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
            help=f"Where {PROFILING_FILE}, or FILE.json, goes.",
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
    """Run the encoder over images and time its components: decode, preprocess, ViT, connector.

    Exit code 3 where some images were skipped. Without a checkpoint the weights are random: the
    times are the real ones.
    """
    settings = read_settings(device=device, dtype=dtype)
    config = effective_config(settings, model, max_crops, overlap_margins, None)
    file = out if out.suffix.lower() == ".json" and not out.is_dir() else out / PROFILING_FILE
    check_result(file, force=force)
    # Late: torch takes seconds to import.
    from app.cli.profiling import Request, read_images, run
    from app.cli.skipped import print_skipped
    from app.cli.tables.timing import print_components
    from app.files import write_whole

    found = read_images(dataset, split, images, settings)
    request = Request(found, config, num_images, repeats, warmup, checkpoint)
    done = run(request, settings)
    try:
        write_whole(file, done.json)
    except OSError as error:
        raise typer.BadParameter(
            f"{file} cannot be written: {error.strerror}", param_hint="--out"
        ) from None
    print_skipped(done.profiling.skipped)
    if as_json:
        typer.echo(done.json, nl=False)
    else:
        print_components(done, file)
    if done.profiling.skipped:
        raise typer.Exit(PARTLY)
