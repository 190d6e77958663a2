"""Define ``plan`` and ``analyze``: plan a size or an image file."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import typer

from app.cli.inputs import given_latency, named_or_saved, read_bytes, read_profile, read_settings
from app.cli.options import (
    Configuration,
    ImageArgument,
    JsonOption,
    ProfileOption,
    SizeArgument,
    grouped,
)
from app.core.latency.latency import Latency
from app.core.plan.plan import make_plan


@grouped
def plan(
    size: SizeArgument,
    *,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan a size: tiling, crops, tokens, overlap, and alternatives."""
    from app.cli.tables.plan_table import print_plan
    from app.cli.terminal import console, print_json
    from app.schemas.plan import PlanAnswer

    settings = read_settings()
    config = configuration.effective(settings)
    planned = make_plan(size, config)
    answer = PlanAnswer.of(planned, given_latency(read_profile(profile, settings), planned))
    if as_json:
        print_json(answer)
    else:
        print_plan(console(), answer)


@grouped
def analyze(
    file: ImageArgument,
    latency: Annotated[
        Literal["profile", "measure", "none"],
        typer.Option(
            help="`profile`: from the profile that is named, or else saved for this device. "
            "`measure`: run this image's own crops now. `none`: leave it out."
        ),
    ] = "profile",
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Passes to measure; by default 3. Only with --latency measure."
        ),
    ] = None,
    *,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan an image file, and give the latency of its vision tokens on this device."""
    from app.cli.tables.plan_table import print_plan
    from app.cli.terminal import console, print_json
    from app.imaging.read.decode import decode
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
    config = configuration.effective(settings)
    data = read_bytes(file, settings)
    started = time.perf_counter()
    picture = decode(data, max_pixels=settings.max_pixels)
    decode_ms = (time.perf_counter() - started) * 1e3
    planned = make_plan(picture.size, config)
    spent = None
    if latency == "none":
        known = Latency("none", "not asked for")
    elif latency == "profile":
        known = named_or_saved(profile, config, settings).latency(planned)
    else:
        from app.cli.encoder import measured_latency  # late: torch takes seconds to import

        known, spent = measured_latency(picture, planned, settings, repeats)
    answer = PlanAnswer.of(planned, known, facts=picture.facts, decode_ms=decode_ms, spent=spent)
    if as_json:
        print_json(answer)
    else:
        print_plan(console(), answer)
