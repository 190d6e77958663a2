"""The command that makes this report again, with names in place of paths."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from app.core.plan.families import DEFAULT_FAMILY
from app.report.experiment import Experiment

_DEFAULT_IMAGES = 5
_DEFAULT_TARGET = 12


def command(experiment: Experiment) -> str:
    """As it is typed where the named files are; what has its default value is left out."""
    return " ".join(["crop-planner experiment", *_arguments(experiment)])


def _arguments(experiment: Experiment) -> Iterator[str]:
    config, family = experiment.config, experiment.config.family
    dataset, selection, asked = experiment.dataset, experiment.selection, experiment.asked
    # A name that looks like an option is a path all the same.
    yield shlex.quote(f"./{dataset.name}" if dataset.name.startswith("-") else dataset.name)
    options = {
        "--split": dataset.split,
        "--images": asked.images,
        "--exp2": selection.source,
        "--num-images": _unless(selection.wanted, _DEFAULT_IMAGES),
        "--target-max-crops": _unless(selection.target_crops, _DEFAULT_TARGET),
        "--model": family.name if family.name != DEFAULT_FAMILY else None,
        "--max-crops": _unless(config.max_crops, family.default_max_crops),
        "--overlap-margins": _unless(config.overlap_margins, family.overlap_margins),
        "--crop-size-px": _unless(config.crop_size_px, family.crop_size_px),
    }
    for option, value in options.items():
        if value is not None:
            yield (
                f"{option}={shlex.quote(value)}"
                if value[:1] == "-"
                else (f"{option} {shlex.quote(value)}")
            )
    if not asked.save_crop_images:
        yield "--no-crops"
    if experiment.has_latency:
        yield "--profile PROFILE.json"


def _unless(value: int | tuple[int, int], usual: int | tuple[int, int]) -> str | None:
    """The value as it is typed, None where it is the usual one."""
    if value == usual:
        return None
    return f"{value[0]},{value[1]}" if isinstance(value, tuple) else str(value)
