"""Hold the findings of the experiment as one value, and write them as JSON.

The JSON file and the report are both made of this value. The JSON uses the names of the HTTP
answers (docs/method/experiment.md). The value has no time and no path of a machine, so the same
input gives the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app import __version__
from app.core.control.methods import compare_methods
from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan
from app.report.choose import SelectionFacts
from app.report.dataset.images import Dataset, DatasetImage
from app.report.errors import Skipped
from app.report.figures.averages import PredictLatency
from app.report.figures.overlap_ranges import compare_with_published
from app.report.figures.set_statistics import SetStatistics, TilingRow
from app.report.findings import findings
from app.report.timing.components import MeasuredCount
from app.report.timing.timing_file import TimingRow
from app.schemas.answer import mirrored
from app.schemas.latency import LatencyAnswer
from app.schemas.methods import MethodRowAnswer
from app.schemas.plan import ConfigAnswer, CoverageAnswer, PlanAnswer, TilingAnswer, TokensAnswer

EXPERIMENT = "exp6_crop_overlap_analysis"


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Name the files of one image, relative to the output folder.

    A file that is not written is None or (). ``grid_crops`` follow the order of the plan's crops.
    """

    crops: str
    statistics: str
    comparison: str | None = None
    original: str | None = None
    global_crop: str | None = None
    grid_crops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """Describe one image that was examined closely.

    ``timing`` is the image's row of the timing file, if any.
    """

    image: DatasetImage
    plan: CropPlan
    timing: TimingRow | None
    files: ImageFiles


@dataclass(frozen=True, slots=True)
class Experiment:
    """Hold all findings of the experiment.

    ``plans`` has the plan of every planned image by its id. ``latency`` predicts by the named
    profile, or gives the reason for no latency. ``images_folder`` is the name, without its path, of
    a folder of annotated files.
    """

    config: CropConfig
    latency: PredictLatency
    dataset: Dataset
    selection: SelectionFacts
    examined: tuple[Examined, ...]
    skipped: tuple[Skipped, ...]
    plans: Mapping[int | str, CropPlan]
    statistics: SetStatistics
    measured: tuple[MeasuredCount, ...]
    save_crop_images: bool = True
    images_folder: str | None = None

    @property
    def predicted(self) -> Latency | None:
        """Return a latency that a profile predicts for a tiling; None without a prediction."""
        latencies = (row.latency for row in self.statistics.tilings)
        return next((one for one in latencies if one.at(50) is not None), None)


def to_json(experiment: Experiment) -> str:
    """Return the text of ``exp6_crop_overlap_analysis.json``."""
    dataset, statistics = experiment.dataset, experiment.statistics
    content = {
        "experiment": EXPERIMENT,
        "version": __version__,
        "model": experiment.config.family.name,
        "config": asdict(mirrored(ConfigAnswer, experiment.config)),
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
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _examined(one: Examined, latency: PredictLatency) -> dict[str, Any]:
    """Return the answers of /analyze and /plan/methods for an examined image, and its files."""
    timing, methods = one.timing, compare_methods(one.plan)
    plan = asdict(PlanAnswer.of(one.plan, latency(one.plan)))
    return {
        "image_id": one.image.image_id,
        "example_id": timing.example_id if timing else None,
        "file_name": one.image.file_name,
        "num_crops": one.plan.total_crops,
        "num_vision_tokens": one.plan.tokens.patch,
        **{name: part for name, part in plan.items() if name not in ("model", "config")},
        "methods": [
            MethodRowAnswer.of(row, latency(row.plan)).model_dump() for row in methods.rows
        ],
        "profiled": dict(timing.row) if timing else None,
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
        **asdict(mirrored(TilingAnswer, row.grid)),
        "shape": row.shape,
        "width": row.size.width,
        "height": row.size.height,
        "images": row.images,
        "share": row.share,
        "tokens": asdict(mirrored(TokensAnswer, row.tokens)),
        "gflop": row.gflop,
        "overlap": asdict(mirrored(CoverageAnswer, row.overlap)),
        "content_overlap_ratio": row.content_overlap_ratio,
        "padding_ratio": row.padding_ratio,
        "latency": asdict(LatencyAnswer.of(row.latency, row.tokens.patch)),
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
