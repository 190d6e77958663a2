"""Define ``adapt``: make the image that meets a latency or token budget and loses least."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app import descriptions
from app.cli.inputs import NO_PROFILE, named_or_saved, read_bytes, read_settings
from app.cli.options import (
    Configuration,
    ImageArgument,
    JsonOption,
    MadeImage,
    ProfileOption,
    grouped,
)
from app.cli.outputs import output_of, write_made
from app.core.adaptation import Wish
from app.core.control.budget import Budget, Strategy
from app.core.control.resizing import Upscale
from app.core.latency.predictions import Predictions
from app.core.latency.prefill import asked_prefill
from app.core.plan.config import CropConfig
from app.imaging.adapt import adapt_file
from app.notation import parse_modes
from app.settings import Settings


@grouped
def adapt(
    file: ImageArgument,
    latency_budget_ms: Annotated[
        float | None, typer.Option(min=0, metavar="MS", help=descriptions.LATENCY_BUDGET_MS)
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="T", help=descriptions.MAX_TOKENS)
    ] = None,
    percentile: Annotated[float, typer.Option(metavar="P", help=descriptions.PERCENTILE)] = 95,
    quality_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="SSIM", help=descriptions.QUALITY_THRESHOLD),
    ] = None,
    modes: Annotated[str, typer.Option(metavar="MODES", help=descriptions.MODES)] = "fit,pad",
    strategy: Annotated[Strategy, typer.Option(help=descriptions.STRATEGY)] = "best",
    upscale: Annotated[Upscale, typer.Option(help=descriptions.ADAPT_UPSCALE)] = "never",
    prefill_ms_per_token: Annotated[
        float | None, typer.Option(metavar="MS", help=descriptions.PREFILL_MS_PER_TOKEN)
    ] = None,
    prefill_base_ms: Annotated[
        float | None, typer.Option(metavar="MS", help=descriptions.PREFILL_BASE_MS)
    ] = None,
    *,
    made: MadeImage,
    configuration: Configuration,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the image that meets a latency or token budget and loses least of the picture."""
    from app.cli.tables.resize_table import print_adaptation
    from app.cli.terminal import console, print_json
    from app.schemas.adapt import AdaptAnswer

    settings = read_settings()
    config = configuration.effective(settings)
    wish = Wish(
        budget=Budget(latency_budget_ms, max_tokens, percentile),
        strategy=strategy,
        modes=parse_modes(modes),
        upscale=upscale,
        quality_threshold=quality_threshold,
        prefill=asked_prefill(prefill_ms_per_token, prefill_base_ms, settings.prefill),
    )
    known = _known(config, settings, profile, wish.budget)
    adapted = adapt_file(
        read_bytes(file, settings),
        config,
        wish,
        known.latency,
        output_of(made),
        max_pixels=settings.max_pixels,
        measure_all=True,
        make=not made.dry_run,
    )
    grid = adapted.adaptation.chosen.candidate.plan.grid
    written = write_made(file, grid, adapted.file.form, adapted.file.data, made)
    answer = AdaptAnswer.of(
        adapted.adaptation, adapted.file.quality, wish, known, datetime.now(UTC)
    )
    if as_json:
        print_json(answer)
    else:
        print_adaptation(console(), answer, written)


def _known(
    config: CropConfig, settings: Settings, profile: Path | None, budget: Budget
) -> Predictions:
    """Find the predictions; a budget of tokens alone needs none, and saves the import of torch."""
    if budget.latency_ms is None and profile is None and settings.profile is None:
        return Predictions(None, NO_PROFILE)
    return named_or_saved(profile, config, settings)
