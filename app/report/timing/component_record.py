"""A profiling as the content of its file, which docs/reference/timing-file.md explains."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.core.json import json_text
from app.core.latency.profile import DeviceType, Fidelity, MachineState, Weights
from app.core.latency.timings import Percentiles
from app.core.plan.config import CropConfig
from app.report.dataset.images import Dataset
from app.report.timing.components import COMPONENTS, ComponentProfiling, ImageComponents
from app.schemas.plan import ConfigAnswer

EXPERIMENT = "exp2_component_profiling"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a profiling was measured under; names and meanings are those of a profile."""

    device: str
    device_type: DeviceType
    dtype: str
    runtime: str
    weights: Weights
    threads: int
    versions: dict[str, str]
    measured_at: str
    fidelity: Fidelity | None
    machine_before: MachineState
    machine_after: MachineState
    contended: str | None


def profiling_to_json(
    profiling: ComponentProfiling,
    dataset: Dataset,
    config: CropConfig,
    conditions: Conditions,
    *,
    repeats: int,
) -> str:
    """The file's text. :func:`app.report.timing.profiling_file.read_profiling` reads it."""
    content = {
        "experiment": EXPERIMENT,
        "dataset": {"name": dataset.name, "split": dataset.split, "kind": dataset.kind},
        "counts_global_crop": True,
        "model": config.family.name,
        "config": ConfigAnswer.of(config).model_dump(),
        **asdict(conditions),
        "repeats": repeats,
        "warmups": [
            {"num_crops": crops, **asdict(warmup)}
            for crops, warmup in sorted(profiling.warmups.items())
        ],
        "skipped": [asdict(one) for one in profiling.skipped],
        "results": [_row(one) for one in profiling.images],
    }
    return json_text(content)


def _row(measured: ImageComponents) -> dict[str, Any]:
    subject, plan = measured.subject, measured.subject.plan
    samples = {component: measured.samples_ms(component) for component in COMPONENTS}
    return {
        "image_id": subject.image.image_id,
        "example_id": subject.position,
        "file_name": subject.image.file_name,
        "width": plan.image.width,
        "height": plan.image.height,
        "num_crops": plan.total_crops,
        "num_grid_crops": plan.grid.crops,
        "tiling": str(plan.grid),
        "num_vision_tokens": plan.tokens.patch,
        "num_prompt_tokens": plan.tokens.prompt,
        **{f"{component}_ms": _percentiles(ms) for component, ms in samples.items()},
        "samples_ms": samples,
    }


def _percentiles(samples_ms: list[float]) -> dict[str, float] | None:
    found = Percentiles.of_any(samples_ms)
    return None if found is None else {"p50": found.p50, "p95": found.p95, "samples": found.samples}
