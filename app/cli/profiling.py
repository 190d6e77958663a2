"""Profile components with the progress on stderr. Imports torch, so it is imported late."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.cli.latency import checkpoint_for
from app.cli.loading import load_here
from app.cli.output import console, printable
from app.cli.progress import ProgressBar
from app.core.plan.config import CropConfig
from app.encoder.measuring.warmup import WarmupRule, default_warmup
from app.report.dataset.images import Dataset, open_dataset
from app.report.progress import bars
from app.report.timing.component_profiling import profile_components
from app.report.timing.component_record import Conditions, profiling_to_json
from app.report.timing.components import ComponentProfiling
from app.report.timing.profiling_session import Progress
from app.report.timing.torch_encoder import TorchEncoder
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be profiled. None leaves it to the device or the settings."""

    dataset: Dataset
    config: CropConfig
    num_images: int | None
    repeats: int
    warmup_s: float | None
    checkpoint: Path | None


@dataclass(frozen=True, slots=True)
class Done:
    """A profiling, what it was measured under, and both as the file's text."""

    profiling: ComponentProfiling
    conditions: Conditions
    config: CropConfig
    json: str


def read_images(
    source: Path, split: str | None, images: Path | None, settings: Settings
) -> Dataset:
    """What there is to profile. Raises InvalidDataset where that is nothing."""
    with bars(console(stderr=True)) as progress:
        return open_dataset(
            source,
            split,
            images=images,
            max_pixels=settings.max_pixels,
            progress=partial(progress, "reading sizes"),
        )


def run(request: Request, settings: Settings) -> Done:
    """Load the encoder and profile.

    Raises:
        CheckpointError, EncoderUnavailable, EncoderMismatch: there is nothing to profile with.
        InvalidDataset: there is nothing to profile.
    """
    told, config = console(stderr=True), request.config
    checkpoint = request.checkpoint or checkpoint_for(config.family, settings)
    encoder = load_here(config.family, checkpoint, settings, told, doing="profiling")
    default = default_warmup(encoder.device)
    warmup = default if request.warmup_s is None else WarmupRule(at_most_s=request.warmup_s)
    profiled = TorchEncoder(encoder)
    with ProgressBar(told) as bar:
        profiling = profile_components(
            profiled,
            request.dataset,
            config,
            repeats=request.repeats,
            warming=warmup,
            max_pixels=settings.max_pixels,
            num_images=request.num_images,
            progress=lambda progress: bar.update(progress.done, _told(progress)),
        )
    conditions = profiled.conditions(config, profiling)
    text = profiling_to_json(
        profiling, request.dataset, config, conditions, repeats=request.repeats
    )
    return Done(profiling, conditions, config, text)


def _told(progress: Progress) -> str:
    subject = progress.subject
    name = printable(subject.image.file_name)
    return f"{progress.phase}: {name}, {subject.plan.total_crops} crops"
