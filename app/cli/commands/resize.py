"""Define ``resize`` and ``adapt``: make the image of exact crops, or of a budget."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app import descriptions
from app.cli.inputs import parse_grid, read_bytes
from app.cli.options import ImageArgument, MadeImage, Question, grouped
from app.cli.outputs import output_of, write_made
from app.cli.predictions import NO_PROFILE, named_or_saved, named_profile
from app.cli.tables.resize_table import print_adaptation, print_resize
from app.core.adaptation import Wish
from app.core.control.budget import Budget, Strategy
from app.core.control.resizing import ResizeMode, Target, Upscale
from app.core.errors import CollapsedImage
from app.core.latency.predictions import Predictions
from app.core.latency.prefill import asked_prefill
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.imaging.adapt import adapt_file
from app.imaging.read.header import look
from app.imaging.resize import ResizeWish, resize_file
from app.notation import parse_modes
from app.schemas.adapt import AdaptAnswer
from app.schemas.resize import ResizeAnswer
from app.settings import Settings


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
    question: Question,
) -> None:
    """Resize an image file to exactly a number of crops or tokens, or list the reachable ones."""
    if target_crops is None and target_tokens is None and tiling is None:
        raise typer.BadParameter("give one", param_hint="--target-crops, --target-tokens, --tiling")
    settings, config = question.read()
    known = named_profile(question.profile, settings)
    data = read_bytes(file, settings)
    target = Target(crops=target_crops, tokens=target_tokens, grid=tiling)
    wish = ResizeWish(target, mode, upscale, output_of(made))
    limit = settings.max_pixels
    resized = resize_file(data, config, wish, max_pixels=limit, make=not made.dry_run)
    grid = resized.resizing.decision.grid
    written = write_made(file, grid, resized.file.form, resized.file.data, made)
    latency = known.latency(resized.plan)
    answer = ResizeAnswer.of(resized.resizing, resized.plan, latency, resized.file.quality)
    before = _plan_of(look(data, max_pixels=limit).size, config)
    question.show(answer, lambda out, answer: print_resize(out, before, answer, written))


def _plan_of(size: Size, config: CropConfig) -> CropPlan | None:
    try:
        return make_plan(size, config)
    except CollapsedImage:
        return None


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
    question: Question,
) -> None:
    """Make the image that meets a latency or token budget and loses least of the picture."""
    settings, config = question.read()
    wish = Wish(
        budget=Budget(latency_budget_ms, max_tokens, percentile),
        strategy=strategy,
        modes=parse_modes(modes),
        upscale=upscale,
        quality_threshold=quality_threshold,
        prefill=asked_prefill(prefill_ms_per_token, prefill_base_ms, settings.prefill),
    )
    known = _known(config, settings, question.profile, wish.budget)
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
    question.show(answer, lambda out, answer: print_adaptation(out, answer, written))


def _known(
    config: CropConfig, settings: Settings, profile: Path | None, budget: Budget
) -> Predictions:
    """Find the predictions; a budget of tokens alone needs none, and saves the import of torch."""
    if budget.latency_ms is None and profile is None and settings.profile is None:
        return Predictions(None, NO_PROFILE)
    return named_or_saved(profile, config, settings)
