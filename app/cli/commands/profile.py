"""Define ``profile``: time each component over a set of images."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

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
from app.cli.tables.plan_table import Columns, table_of
from app.cli.tables.profile_table import doubts, milliseconds
from app.cli.terminal import PARTLY, console, print_skipped
from app.core.plan.families import Family
from app.report.dataset.images import open_dataset
from app.report.dataset.selection import group_by
from app.report.progress import bars
from app.report.timing.components import ComponentTiming, ImageComponents, median_ms
from app.report.timing.timing_file import TIMING_FILE, Conditions


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
    configuration = Configuration(model, max_crops, overlap_margins)
    settings, config = configuration.read(device=device, dtype=dtype)
    file = out if out.suffix.lower() == ".json" and not out.is_dir() else out / TIMING_FILE
    check_result(file, force=force)
    from app.cli.encoder import time_images  # late: torch takes seconds to import

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
        _print(config.family, timing, conditions, file)
    if timing.skipped:
        raise typer.Exit(PARTLY)


def _print(family: Family, timing: ComponentTiming, conditions: Conditions, file: Path) -> None:
    """Print the medians for each number of crops, and the conditions."""
    out = console()
    out.print(
        Text.assemble(
            (family.name, "bold"),
            f" on {conditions.device}, {conditions.dtype}, {conditions.runtime}, "
            f"{conditions.weights} weights",
        )
    )
    out.print()
    by_crops = group_by(timing.images, lambda image: image.subject.plan.total_crops)
    has_bus = median_ms(timing.images, "transfer") is not None
    shown = _columns(has_bus=has_bus, doubtful=conditions.contended is not None)
    rows = (images for _, images in sorted(by_crops.items()))
    out.print(table_of("Median of each component, ms", shown, rows))
    unsettled = (crops for crops, warmup in timing.warmups.items() if not warmup.settled)
    for doubt in doubts(conditions.contended, unsettled):
        out.print(doubt, style="yellow")
    out.print(Text.assemble("saved to ", (str(file), "bold green")))


def _columns(*, has_bus: bool, doubtful: bool) -> Columns[list[ImageComponents]]:
    """Give vision a column of its own: medians do not add up."""
    yield "Total\ncrops>", lambda images: str(images[0].subject.plan.total_crops)
    yield "Images>", lambda images: f"{len(images):,}"
    yield "Decode>", lambda images: _median(images, "decode")
    yield "Pre-\nprocess>", lambda images: _median(images, "preprocess")
    if has_bus:
        yield "Of it\ntransfer>", lambda images: _median(images, "transfer")
    yield "ViT>", lambda images: _median(images, "vit")
    yield "Con-\nnector>", lambda images: _median(images, "connector")
    yield "Vision>", lambda images: _median(images, "vision")
    if doubtful:
        yield "Vision,\nmin>", lambda images: milliseconds(min(map(_fastest, images)))
        yield "Vision,\nCPU time>", lambda images: _median(images, "cpu")


def _median(images: list[ImageComponents], component: str) -> str:
    ms = median_ms(images, component)
    return "–" if ms is None else milliseconds(ms)


def _fastest(image: ImageComponents) -> float:
    return min(image.samples_ms("vision"))
