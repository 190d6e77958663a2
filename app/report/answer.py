"""The experiment as JSON: the names are those of the HTTP answers, see docs/method/experiment.md.

It holds no time and no path of a machine, so that the same input gives the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from app import __version__
from app.core.plan.plan import CropPlan
from app.report.experiment import Examined, Experiment
from app.report.figures.averages import PredictLatency
from app.report.figures.published import compare_with_published
from app.report.figures.set_statistics import SetStatistics, TilingRow
from app.report.findings import findings
from app.schemas.latency import LatencyAnswer
from app.schemas.methods import MethodRowAnswer
from app.schemas.plan import ConfigAnswer, CoverageAnswer, PlanAnswer, TilingAnswer, TokensAnswer

EXPERIMENT = "exp6_crop_overlap_analysis"


def to_json(experiment: Experiment) -> str:
    """The whole of ``exp6_crop_overlap_analysis.json``."""
    return json.dumps(as_dict(experiment), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_dict(experiment: Experiment) -> dict[str, Any]:
    """The same, as JSON values."""
    dataset, statistics = experiment.dataset, experiment.statistics
    return {
        "experiment": EXPERIMENT,
        "version": __version__,
        "model": experiment.config.family.name,
        "config": ConfigAnswer.of(experiment.config).model_dump(),
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "kind": dataset.kind,
            "images": len(dataset.images),
            "with_files": sum(image.path is not None for image in dataset.images),
        },
        "skipped": [asdict(one) for one in experiment.skipped],
        "selection": asdict(experiment.selection)
        | {"target_is_there": experiment.selection.target_is_there},
        "results": [_examined(one, experiment.latency) for one in experiment.examined],
        "set": _set(statistics),
        "measured_ms": [
            {"total_crops": row.total_crops, "images": row.images} | dict(row.median_ms)
            for row in experiment.measured
        ],
        "published": [asdict(one) for one in compare_with_published(statistics.shapes)],
        "findings": [asdict(one) for one in findings(statistics, experiment.config)],
        "images": [_image(image_id, plan) for image_id, plan in experiment.plans.items()],
    }


def _examined(one: Examined, latency: PredictLatency) -> dict[str, Any]:
    """An image looked at closely: what /analyze and /plan/methods answer, and its files."""
    profiled = one.profiled
    return {
        "image_id": one.image.image_id,
        "example_id": profiled.example_id if profiled else None,
        "file_name": one.image.file_name,
        "num_crops": one.plan.total_crops,
        "num_vision_tokens": one.plan.tokens.patch,
        **PlanAnswer.of(one.plan, latency(one.plan)).model_dump(exclude={"model", "config"}),
        "methods": [
            MethodRowAnswer.of(row, latency(row.plan)).model_dump() for row in one.methods.rows
        ],
        "profiled": dict(profiled.row) if profiled else None,
        "files": asdict(one.files),
    }


def _set(found: SetStatistics) -> dict[str, Any]:
    return {
        "images": found.images,
        "distinct_sizes": found.distinct_sizes,
        "collapsed": found.collapsed,
        "reduced": found.reduced,
        "averages": asdict(found.averages),
        "content": asdict(found.content),
        "crop_counts": {
            "with_global_crop": {str(row.total_crops): row.images for row in found.counts},
            "grid_crops": {str(row.crops): row.images for row in found.counts},
        },
        "tilings": [_tiling(row) for row in found.tilings],
        "shapes": [asdict(row) for row in found.shapes],
        "methods": [asdict(row) for row in found.settings],
        "cliffs": asdict(found.cliffs),
    }


def _tiling(row: TilingRow) -> dict[str, Any]:
    return {
        **TilingAnswer.of(row.grid).model_dump(),
        "shape": row.shape,
        "width": row.size.width,
        "height": row.size.height,
        "images": row.images,
        "share": row.share,
        "tokens": TokensAnswer.of(row.tokens).model_dump(),
        "gflop": row.gflop,
        "overlap": CoverageAnswer.of(row.overlap).model_dump(),
        "content_overlap_ratio": row.content_overlap_ratio,
        "padding_ratio": row.padding_ratio,
        "latency": LatencyAnswer.of(row.latency, row.tokens.patch).model_dump(),
    }


def _image(image_id: int | str, plan: CropPlan) -> dict[str, Any]:
    overlap = plan.overlap()
    return {
        "image_id": image_id,
        "width": plan.image.width,
        "height": plan.image.height,
        "tiling": str(plan.grid),
        "num_crops": plan.total_crops,
        "num_vision_tokens": plan.tokens.patch,
        "prompt_tokens": plan.tokens.prompt,
        "overlap_ratio": overlap.overlap_ratio,
        "redundancy_ratio": overlap.redundancy_ratio,
    }
