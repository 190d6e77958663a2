"""``resize``: the image that gives exactly what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.arguments import (
    CropSizeOption,
    DryRunOption,
    ForceOption,
    FormatOption,
    ImageArgument,
    JsonOption,
    MarginsOption,
    MaxCropsOption,
    ModelOption,
    OutOption,
    ProfileOption,
    QualityOption,
    ResampleOption,
    parse_grid,
)
from app.cli.files import check_output, default_output, suffix_format, write_output
from app.cli.inputs import (
    effective_config,
    given_latency,
    read_bytes,
    read_profile,
    read_settings,
)
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
    form: FormatOption = None,
    quality: QualityOption = None,
    resample: ResampleOption = "lanczos",
    out: OutOption = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
    model: ModelOption = None,
    max_crops: MaxCropsOption = None,
    overlap_margins: MarginsOption = None,
    crop_size_px: CropSizeOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Resize an image file to exactly a number of crops or tokens, or say what can be reached."""
    from app.cli.output import console, print_json
    from app.cli.tables.resize import print_resize

    if target_crops is None and target_tokens is None and tiling is None:
        raise typer.BadParameter("give one", param_hint="--target-crops, --target-tokens, --tiling")
    settings = read_settings()
    config = effective_config(settings, model, max_crops, overlap_margins, crop_size_px)
    timings = read_profile(profile, settings)
    data = read_bytes(file, settings)
    facts = look(data, max_pixels=settings.max_pixels)
    asked = form or suffix_format(out)
    resizing = decide_resize(
        facts.size,
        config,
        Target(crops=target_crops, tokens=target_tokens, grid=tiling),
        mode=mode,
        upscale=upscale,
        may_stay=may_stay(facts, asked, quality),
    )
    decision = resizing.decision
    unchanged = decision.mode == "unchanged"
    made = asked or output_format(facts.format)
    check_result(decision, made, max_pixels=settings.max_pixels)
    written = None
    if not dry_run:
        form_out = facts.format if unchanged else made
        written = out or default_output(file, decision.grid, form_out)
        check_output(written, form_out, source=file, force=force)
        made_file = make_file(
            data,
            facts,
            decision,
            config,
            form=made,
            quality=quality,
            resample=resample,
            max_pixels=settings.max_pixels,
        )
        write_output(written, made_file, force=force)
    answer = _answer(
        resizing, config, timings, None if unchanged else output_quality(made, quality)
    )
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
