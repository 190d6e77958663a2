"""Define ``overlay``: draw the crops of an image or of a size."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from app import descriptions
from app.cli.inputs import parse_size, read_bytes
from app.cli.options import Configuration, ForceOption, grouped, out_option
from app.cli.outputs import check_output, format_of, write_output
from app.cli.terminal import console
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.imaging.pictures import (
    DEFAULT_SIDE_PX,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    Kind,
    PictureFormat,
    check_side,
    draw,
    draw_upload,
)


@grouped
def overlay(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|WIDTHxHEIGHT",
            help="The image file; or a size in px, which is drawn on a plain ground.",
        ),
    ],
    kind: Annotated[Kind, typer.Option(help=descriptions.PICTURE_KIND)] = "crops",
    out: Annotated[Path | None, out_option("photo.crops.png")] = None,
    form: Annotated[
        PictureFormat | None,
        typer.Option("--format", help="By default what OUT ends in, else png."),
    ] = None,
    side_px: Annotated[
        int,
        typer.Option(
            metavar="PX", help=f"Longer side of what is drawn, {MIN_SIDE_PX} to {MAX_SIDE_PX}."
        ),
    ] = DEFAULT_SIDE_PX,
    force: ForceOption = False,
    *,
    configuration: Configuration,
) -> None:
    """Draw the crops of an image, or of a size: boundaries, tokens, overlap."""
    settings, config = configuration.read()
    check_side(side_px)
    made = form or format_of(out, get_args(PictureFormat)) or "png"
    file = Path(source)
    if file.exists() and not file.is_dir():
        written = out or file.with_name(f"{file.stem}.{kind}.{made}")
        check_output(written, made, source=file, force=force)
        plan, drawn = draw_upload(
            kind,
            read_bytes(file, settings),
            config,
            max_pixels=settings.max_pixels,
            form=made,
            side_px=side_px,
        )
    else:
        size = _size_of(source)
        written = out or Path(f"{size}.{kind}.{made}")
        check_output(written, made, source=None, force=force)
        plan = make_plan(size, config)
        drawn = draw(kind, plan, None, form=made, side_px=side_px)
    write_output(written, drawn, force=force)
    console().print(
        f"{written}  {plan.grid}: {plan.total_crops} crops with the global one, "
        f"{plan.tokens.prompt:,} prompt tokens"
    )


def _size_of(source: str) -> Size:
    try:
        return parse_size(source)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"{source} is neither a file nor a size such as 640x480", param_hint="FILE|WIDTHxHEIGHT"
        ) from None
