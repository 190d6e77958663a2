"""Define ``plan`` and ``analyze``: plan a size or an image file."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import typer

from app.cli.inputs import read_bytes
from app.cli.options import ImageArgument, Question, SizeArgument, grouped
from app.cli.predictions import named_or_saved, named_profile
from app.cli.tables.plan_table import print_plan
from app.core.latency.latency import Latency
from app.core.plan.plan import make_plan


@grouped
def plan(size: SizeArgument, question: Question) -> None:
    """Plan a size: tiling, crops, tokens, overlap, and alternatives."""
    from app.schemas.plan import PlanAnswer

    settings, config = question.read()
    planned = make_plan(size, config)
    known = named_profile(question.profile, settings)
    question.show(PlanAnswer.of(planned, known.latency(planned)), print_plan)


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
    question: Question,
) -> None:
    """Plan an image file, and give the latency of its vision tokens on this device."""
    from app.imaging.read.decode import decode
    from app.schemas.latency import StagesMs
    from app.schemas.plan import PlanAnswer

    if repeats is not None and latency != "measure":
        raise typer.BadParameter(
            f"needs --latency measure, but latency is {latency}", param_hint="--repeats"
        )
    if question.profile is not None and latency != "profile":
        raise typer.BadParameter(
            f"needs --latency profile, but latency is {latency}", param_hint="--profile"
        )
    settings, config = question.read()
    data = read_bytes(file, settings)
    started = time.perf_counter()
    picture = decode(data, max_pixels=settings.max_pixels)
    decode_ms = (time.perf_counter() - started) * 1e3
    planned = make_plan(picture.size, config)
    stages = StagesMs(decode=decode_ms)
    if latency == "none":
        known = Latency("none", "not asked for")
    elif latency == "profile":
        known = named_or_saved(question.profile, config, settings).latency(planned)
    else:
        from app.cli.encoder import measured_latency  # late: torch takes seconds to import

        known, spent = measured_latency(picture, planned, settings, repeats)
        stages = StagesMs.before_passes(decode_ms, spent)
    answer = PlanAnswer.of(planned, known, facts=picture.facts, stages_ms=stages)
    question.show(answer, print_plan)
