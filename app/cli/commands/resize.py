"""Define ``resize``: make the image with exactly the wanted crops or tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.inputs import (
    given_latency,
    read_bytes,
    read_profile,
    read_settings,
)
from app.cli.options import (
    Configuration,
    ImageArgument,
    JsonOption,
    MadeImage,
    ProfileOption,
    grouped,
    parse_grid,
)
from app.cli.outputs import output_path, suffix_format, write_output
from app.core.control.resizing import ResizeMode, Resizing, Target, Upscale, decide_resize
from app.core.errors import CollapsedImage
from app.core.latency.profile import Profile
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.read.header import look
from app.imaging.write.make import check_result, make_file, may_stay
from app.imaging.write.render import output_format, output_quality

if TYPE_CHECKING:
    from app.schemas.resize import ResizeAnswer


@grouped
def resize(
    file: ImageArgument,
    target_crops: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Grid crops, exactly.")
    ] = None,
    target_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="T", help="The plan with most prompt tokens not above this."),
    ] = None,
    tiling: Annotated[
        Grid | None,
        typer.Option(metavar="ROWSxCOLS", parser=parse_grid, help="This tiling, exactly."),
    ] = None,
    mode: Annotated[
        ResizeMode,
        typer.Option(
            help="`fit`: keep the aspect. `pad`: black around it. `crop`: cut the rest. `stretch`: "
            "lose the aspect. `auto`: leave it alone if it will do, else fit, else pad."
        ),
    ] = "auto",
    upscale: Annotated[Upscale, typer.Option(help="`never`: no pixel is enlarged.")] = "allow",
    *,
    output: MadeImage,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Resize an image file to exactly a number of crops or tokens, or list the reachable ones."""
    from app.cli.tables.resize_table import print_resize
    from app.cli.terminal import console, print_json

    if target_crops is None and target_tokens is None and tiling is None:
        raise typer.BadParameter("give one", param_hint="--target-crops, --target-tokens, --tiling")
    settings = read_settings()
    config = configuration.effective(settings)
    timings = read_profile(profile, settings)
    data = read_bytes(file, settings)
    facts = look(data, max_pixels=settings.max_pixels)
    asked = output.form or suffix_format(output.out)
    resizing = decide_resize(
        facts.size,
        config,
        Target(crops=target_crops, tokens=target_tokens, grid=tiling),
        mode=mode,
        upscale=upscale,
        may_stay=may_stay(facts, asked, output.quality),
    )
    decision = resizing.decision
    unchanged = decision.mode == "unchanged"
    form = asked or output_format(facts.format)
    check_result(decision, form, max_pixels=settings.max_pixels)
    written = None
    if not output.dry_run:
        written = output_path(file, decision.grid, facts.format if unchanged else form, output)
        made = make_file(
            data,
            facts,
            decision,
            config,
            form=form,
            quality=output.quality,
            resample=output.resample,
            max_pixels=settings.max_pixels,
        )
        write_output(written, made, force=output.force)
    quality = None if unchanged else output_quality(form, output.quality)
    answer = _answer(resizing, config, timings, quality)
    if as_json:
        print_json(answer)
    else:
        print_resize(console(), _before(facts.size, config), answer, written)


def _answer(
    resizing: Resizing, config: CropConfig, profile: Profile | None, quality: int | None
) -> ResizeAnswer:
    from app.schemas.resize import ResizeAnswer

    plan = make_plan(resizing.decision.size, config)
    return ResizeAnswer.of(resizing, plan, given_latency(profile, plan), quality)


def _before(size: Size, config: CropConfig) -> CropPlan | None:
    try:
        return make_plan(size, config)
    except CollapsedImage:
        return None
