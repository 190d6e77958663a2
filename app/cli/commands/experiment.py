"""Define ``experiment``: analyse the crops of a set of images."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.cli.options import Configuration, FileJsonOption, ImageSet, ProfileOption, grouped
from app.cli.predictions import named_profile
from app.cli.tables.plan_table import heading, table_of
from app.cli.terminal import PARTLY, console, print_skipped, printable
from app.cores import available_cores
from app.report.experiment import Experiment, to_json
from app.report.findings import findings
from app.schemas.answer import mirrored
from app.schemas.plan import ConfigAnswer


@grouped
def experiment(
    source: ImageSet,
    exp2: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A timing file, as `profile` writes it; images are then chosen among its rows.",
        ),
    ] = None,
    num_images: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images that are looked at closely.")
    ] = 5,
    target_max_crops: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Grid crops that one of them has, or the nearest."),
    ] = 12,
    crops: Annotated[
        bool, typer.Option(help="Write these images and each of their crops, too.")
    ] = True,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", file_okay=False, help="For all files.")
    ] = Path("exp6_crop_overlap"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of an earlier run.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes that draw; by default one a core."),
    ] = None,
    *,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: FileJsonOption = False,
) -> None:
    """Analyse the crops of a set of images: tilings, overlap, cost, and ways to change them.

    Writes a report (HTML), its figures (JSON) and pictures of some images. Exit code 3: all was
    written, but some images had to be skipped.
    """
    from app.report.crop_overlap import JSON_FILE, CropOverlapAnalysis

    settings, config = configuration.read()
    earlier = out / JSON_FILE
    if earlier.exists() and not force:
        raise typer.BadParameter(
            f"{earlier} exists already; --force replaces it and what belongs to it",
            param_hint="--out",
        )
    analysis = CropOverlapAnalysis(
        config.family.name,
        out,
        max_crops=config.max_crops,
        overlap_margins=config.overlap_margins,
        crop_size_px=config.crop_size_px,
        latency=named_profile(profile, settings).latency,
        max_pixels=settings.max_pixels,
        workers=workers or available_cores(),
    )
    try:
        found = analysis.run(
            source.dataset,
            source.split,
            exp2,
            num_images,
            target_max_crops,
            crops,
            images=source.images,
        )
    except OSError as error:
        raise typer.BadParameter(
            f"{error.filename or out}: {error.strerror}", param_hint="--out"
        ) from None
    if as_json:
        typer.echo(to_json(found), nl=False)
    else:
        _print(console(), found, out)
    print_skipped(found.skipped)
    if found.skipped:
        raise typer.Exit(PARTLY)


def _print(shown: Console, found: Experiment, folder: Path) -> None:
    """Print the findings, the examined images, and the place of the report."""
    from app.report.crop_overlap import REPORT_FILE

    shown.print(heading(found.config.family.name, mirrored(ConfigAnswer, found.config)))
    shown.print()
    for finding in findings(found.statistics, found.config):
        shown.print(f"• {finding.text}")
    shown.print()
    examined = table_of(
        "Looked at closely",
        (
            ("Image", lambda one: printable(one.image.file_name)),
            ("Size", lambda one: str(one.image.size)),
            ("Tiling", lambda one: str(one.plan.grid)),
            ("Crops>", lambda one: f"{one.plan.grid.crops} + 1"),
            ("Prompt tokens>", lambda one: f"{one.plan.tokens.prompt:,}"),
        ),
        found.examined,
    )
    shown.print(examined)
    chosen = found.selection
    if not chosen.target_is_there:
        shown.print(
            f"No image gets {chosen.target_crops} grid crops; nearest are {chosen.closest_crops}."
        )
    shown.print()
    shown.print(f"Report: {folder / REPORT_FILE}")
