"""Define ``resize``: make the image with exactly the wanted crops or tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from app import descriptions
from app.cli.inputs import given_latency, parse_grid, read_bytes, read_profile, read_settings
from app.cli.options import (
    Configuration,
    ImageArgument,
    JsonOption,
    MadeImage,
    ProfileOption,
    grouped,
)
from app.cli.outputs import output_of, write_made
from app.core.control.resizing import ResizeMode, Target, Upscale
from app.core.errors import CollapsedImage
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.read.header import look
from app.imaging.resize import ResizeWish, resize_file


@grouped
def resize(
    file: ImageArgument,
    target_crops: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=descriptions.TARGET_CROPS)
    ] = None,
    target_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="T", help=descriptions.TARGET_TOKENS)
    ] = None,
    tiling: Annotated[
        Grid | None, typer.Option(metavar="ROWSxCOLS", parser=parse_grid, help=descriptions.TILING)
    ] = None,
    mode: Annotated[ResizeMode, typer.Option(help=descriptions.RESIZE_MODE)] = "auto",
    upscale: Annotated[Upscale, typer.Option(help=descriptions.RESIZE_UPSCALE)] = "allow",
    *,
    made: MadeImage,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Resize an image file to exactly a number of crops or tokens, or list the reachable ones."""
    from app.cli.tables.resize_table import print_resize
    from app.cli.terminal import console, print_json
    from app.schemas.resize import ResizeAnswer

    if target_crops is None and target_tokens is None and tiling is None:
        raise typer.BadParameter("give one", param_hint="--target-crops, --target-tokens, --tiling")
    settings = read_settings()
    config = configuration.effective(settings)
    named = read_profile(profile, settings)
    data = read_bytes(file, settings)
    target = Target(crops=target_crops, tokens=target_tokens, grid=tiling)
    wish = ResizeWish(target, mode, upscale, output_of(made))
    limit = settings.max_pixels
    resized = resize_file(data, config, wish, max_pixels=limit, make=not made.dry_run)
    grid = resized.resizing.decision.grid
    written = write_made(file, grid, resized.file.form, resized.file.data, made)
    latency = given_latency(named, resized.plan)
    answer = ResizeAnswer.of(resized.resizing, resized.plan, latency, resized.file.quality)
    if as_json:
        print_json(answer)
    else:
        before = _plan_of(look(data, max_pixels=limit).size, config)
        print_resize(console(), before, answer, written)


def _plan_of(size: Size, config: CropConfig) -> CropPlan | None:
    try:
        return make_plan(size, config)
    except CollapsedImage:
        return None
