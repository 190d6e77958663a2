"""``plan`` and ``analyze``: what an image costs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from app.cli.arguments import (
    CropSizeOption,
    ImageArgument,
    JsonOption,
    MarginsOption,
    MaxCropsOption,
    ModelOption,
    ProfileOption,
    parse_size,
)
from app.cli.inputs import (
    effective_config,
    given_latency,
    named_or_saved,
    read_image,
    read_profile,
    read_settings,
)
from app.core.latency.latency import Latency
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan


def plan(
    size: Annotated[
        Size, typer.Argument(metavar="WIDTHxHEIGHT", parser=parse_size, help="Size in px.")
    ],
    model: ModelOption = None,
    max_crops: MaxCropsOption = None,
    overlap_margins: MarginsOption = None,
    crop_size_px: CropSizeOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan a size: tiling, crops, tokens, overlap, and what else could be had."""
    from app.cli.output import console, print_json
    from app.cli.tables.plan import print_plan
    from app.schemas.plan import PlanAnswer

    settings = read_settings()
    config = effective_config(settings, model, max_crops, overlap_margins, crop_size_px)
    planned = make_plan(size, config)
    answer = PlanAnswer.of(planned, given_latency(read_profile(profile, settings), planned))
    if as_json:
        print_json(answer)
    else:
        print_plan(console(), answer)


def analyze(
    file: ImageArgument,
    latency: Annotated[
        Literal["profile", "measure", "none"],
        typer.Option(
            help="`profile`: from the profile that is named, or else saved for this device. "
            "`measure`: run this image's own crops now. `none`: leave it out.",
        ),
    ] = "profile",
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Passes to measure; by default 3. Only with --latency measure.",
        ),
    ] = None,
    model: ModelOption = None,
    max_crops: MaxCropsOption = None,
    overlap_margins: MarginsOption = None,
    crop_size_px: CropSizeOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan an image file, and say what its vision tokens take on this device."""
    from app.cli.output import console, print_json
    from app.cli.tables.plan import print_plan
    from app.schemas.latency import StagesMs
    from app.schemas.plan import PlanAnswer

    if repeats is not None and latency != "measure":
        raise typer.BadParameter(
            f"needs --latency measure, but latency is {latency}", param_hint="--repeats"
        )
    if profile is not None and latency != "profile":
        raise typer.BadParameter(
            f"needs --latency profile, but latency is {latency}", param_hint="--profile"
        )
    settings = read_settings()
    config = effective_config(settings, model, max_crops, overlap_margins, crop_size_px)
    image = read_image(file, settings)
    planned = make_plan(image.picture.size, config)
    stages = StagesMs(decode=image.decode_ms)
    if latency == "none":
        known = Latency("none", "not asked for")
    elif latency == "profile":
        known = named_or_saved(profile, config, settings).latency(planned)
    else:
        from app.cli.latency import measured_latency  # needs torch, which takes seconds to import

        known, spent = measured_latency(image.picture, planned, settings, repeats)
        stages = StagesMs.before_passes(image.decode_ms, spent)
    answer = PlanAnswer.of(planned, known, facts=image.picture.facts, stages_ms=stages)
    if as_json:
        print_json(answer)
    else:
        print_plan(console(), answer)
