"""``adapt``: from a latency or token budget to the image that keeps it and loses least."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

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
)
from app.cli.files import check_output, default_output, suffix_format, write_output
from app.cli.inputs import (
    NO_PROFILE,
    effective_config,
    named_or_saved,
    read_bytes,
    read_settings,
)
from app.core.adaptation import Wish
from app.core.control.budget import Budget, Strategy
from app.core.control.resizing import Upscale
from app.core.latency.predictions import Predictions
from app.core.latency.prefill import asked_prefill
from app.core.plan.config import CropConfig
from app.imaging.adapt import Output, adapt_file
from app.notation import parse_modes
from app.settings import Settings


def adapt(
    file: ImageArgument,
    latency_budget_ms: Annotated[
        float | None,
        typer.Option(min=0, metavar="MS", help="Most ms for the vision tokens (and prefill)."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="T", help="Most prompt tokens of the image.")
    ] = None,
    percentile: Annotated[
        float, typer.Option(metavar="P", help="Of the latency that is predicted.")
    ] = 95,
    quality_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="SSIM", help="Least SSIM of an image that is made."),
    ] = None,
    modes: Annotated[
        str, typer.Option(metavar="MODES", help="Ways to resize: of fit, pad, crop, stretch.")
    ] = "fit,pad",
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="`best`: resize, or limit the model's max_crops. `resize`, `max_crops`: only the "
            "one. `hybrid`: a limit that every image keeps the budget under, and resize within it."
        ),
    ] = "best",
    upscale: Annotated[Upscale, typer.Option(help="`allow`: may enlarge.")] = "never",
    prefill_ms_per_token: Annotated[
        float | None,
        typer.Option(metavar="MS", help="The language model's prefill; see `prefill`."),
    ] = None,
    prefill_base_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="What prefill takes besides.")
    ] = None,
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
    """Make the image that keeps a latency or token budget and loses least of the picture."""
    from app.cli.output import console, print_json
    from app.cli.tables.adapt import print_adaptation
    from app.schemas.adapt import AdaptAnswer

    settings = read_settings()
    config = effective_config(settings, model, max_crops, overlap_margins, crop_size_px)
    wish = Wish(
        budget=Budget(latency_budget_ms, max_tokens, percentile),
        strategy=strategy,
        modes=parse_modes(modes),
        upscale=upscale,
        quality_threshold=quality_threshold,
        prefill=asked_prefill(prefill_ms_per_token, prefill_base_ms, settings.prefill),
    )
    known = _known(config, settings, profile, wish.budget)
    output = Output(form or suffix_format(out), quality, resample)
    adapted = adapt_file(
        read_bytes(file, settings),
        config,
        wish,
        known.latency,
        output,
        max_pixels=settings.max_pixels,
        measure_all=True,
        make=not dry_run,
    )
    written = None
    if adapted.data is not None:
        grid = adapted.adaptation.chosen.candidate.plan.grid
        written = out or default_output(file, grid, adapted.form)
        check_output(written, adapted.form, source=file, force=force)
        write_output(written, adapted.data, force=force)
    answer = AdaptAnswer.of(adapted.adaptation, adapted.quality, wish, known, datetime.now(UTC))
    if as_json:
        print_json(answer)
    else:
        print_adaptation(console(), answer, written)


def _known(
    config: CropConfig, settings: Settings, profile: Path | None, budget: Budget
) -> Predictions:
    """A budget of tokens alone needs no latency, nor the wait for what finds the saved profile."""
    if budget.latency_ms is None and profile is None and settings.profile is None:
        return Predictions(None, NO_PROFILE)
    return named_or_saved(profile, config, settings)
