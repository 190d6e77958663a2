"""Run the crop-overlap experiment, from a set of images to the files of its report."""

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from app.core.errors import UnknownModel
from app.core.latency.predictions import Predictions
from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import FAMILIES, Family, family_named
from app.files import check_writable, write_whole
from app.report.choose import choose, find_candidates, plan_images
from app.report.dataset.foreign_text import plain_text
from app.report.dataset.images import open_dataset
from app.report.drawing import draw_all, files_of
from app.report.experiment import EXPERIMENT, Examined, Experiment, to_json
from app.report.figures.averages import PredictLatency
from app.report.figures.set_statistics import set_statistics
from app.report.html.elements import embed_all
from app.report.html.page import render_report
from app.report.progress import Progress, bars
from app.report.timing.components import measured_counts
from app.report.timing.timing_file import read_timing

JSON_FILE = f"{EXPERIMENT}.json"
REPORT_FILE = f"{EXPERIMENT}.html"

MAX_PIXELS = 64_000_000
"""Skip larger images. The service's setting has the same default."""

NO_PROFILE = Predictions(None, "no profile was named")


class CropOverlapAnalysis:
    """Run the experiment for one model, into one folder.

    The same input writes the same bytes.

    Args:
        model_path: a family's name, a hub's ``owner/name`` or a checkpoint's folder. No weights are
            read.
        output_dir: the folder of all files. Older files of the same names are replaced.
        max_crops, overlap_margins, crop_size_px: the family's own by default.
        latency: predicts the latency of a plan, such as a profile's ``Predictions.latency``.
        max_pixels: larger images are skipped.
        workers: processes that draw. With more than one, a script that calls :meth:`run` needs the
            guard ``if __name__ == "__main__"``, as always with ``multiprocessing``.
        progress: called after each step. The default shows bars on a terminal.

    Raises:
        UnknownModel: the path names no family.
        InvalidConfig: see :func:`app.core.plan.config.make_config`.
    """

    def __init__(
        self,
        model_path: str | Path,
        output_dir: str | Path,
        *,
        max_crops: int | None = None,
        overlap_margins: tuple[int, int] | None = None,
        crop_size_px: int | None = None,
        latency: PredictLatency = NO_PROFILE.latency,
        max_pixels: int = MAX_PIXELS,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> None:
        self.config: CropConfig = make_config(
            family_at(model_path),
            max_crops=max_crops,
            overlap_margins=overlap_margins,
            crop_size_px=crop_size_px,
        )
        self.output_dir = Path(output_dir)
        self._latency = latency
        self._max_pixels = max_pixels
        self._workers = workers
        self._progress = progress

    def run(
        self,
        dataset_name: str | Path,
        split: str | None = None,
        exp2_results_path: str | Path | None = None,
        num_images: int = 5,
        target_max_crops: int = 12,
        save_crop_images: bool = True,
        *,
        images: str | Path | None = None,
    ) -> Experiment:
        """Analyse a set, examine some of its images closely, and write all files.

        Args:
            dataset_name: a folder of images or a COCO-style annotation file.
            split: a part of the set, such as ``val2017``.
            exp2_results_path: a timing file. The examined images are then among its rows.
            num_images: the number of images to examine.
            target_max_crops: grid crops of one examined image, or the nearest number in the set.
            save_crop_images: also write the originals and their crops.
            images: the folder of the annotated files; by default looked for beside the annotations.

        Returns:
            The findings. ``skipped`` names every image left out, with a reason.

        Raises:
            InvalidDataset, InvalidTiming: the set or the timing file cannot be used.
            ValueError: ``num_images`` is less than 1.
            OSError: a file cannot be written.
        """
        if num_images < 1:
            raise ValueError(f"num_images must be at least 1, got {num_images}")
        files = Path(images) if images is not None else None
        with bars() if self._progress is None else nullcontext(self._progress) as progress:
            dataset = open_dataset(
                Path(dataset_name),
                split,
                images=files,
                max_pixels=self._max_pixels,
                progress=partial(progress, "reading sizes"),
            )
            check_writable(self.output_dir)
            plans, collapsed = plan_images(dataset, self.config)
            timing = read_timing(Path(exp2_results_path)) if exp2_results_path is not None else None
            candidates, missing = find_candidates(dataset, plans, timing)
            chosen, facts, damaged = choose(
                candidates,
                timing,
                num_images,
                target_max_crops,
                max_pixels=self._max_pixels,
                progress=partial(progress, "checking images"),
            )
            statistics = set_statistics(
                (image.size for image in dataset.images),
                self.config,
                self._latency,
                partial(progress, "comparing settings"),
            )
            found = Experiment(
                config=self.config,
                latency=self._latency,
                dataset=dataset,
                selection=facts,
                examined=tuple(
                    Examined(
                        one.image,
                        one.plan,
                        one.timing,
                        files_of(one.image, one.plan, crops=save_crop_images),
                    )
                    for one in chosen
                ),
                skipped=(*dataset.skipped, *collapsed, *missing, *damaged),
                plans=plans,
                statistics=statistics,
                measured=measured_counts(
                    (one.plan, one.timing.row) for one in candidates if one.timing
                ),
                save_crop_images=save_crop_images,
                images_folder=plain_text(files.name) if files else None,
            )
            self._write(found, progress)
        return found

    def _write(self, experiment: Experiment, progress: Progress) -> None:
        """Write the pictures first: the JSON file and the report name only files that exist."""
        draw_all(
            experiment.examined,
            self.output_dir,
            self._workers,
            partial(progress, "drawing pictures"),
            max_pixels=self._max_pixels,
        )
        pictures = embed_all(
            experiment.examined,
            self.output_dir,
            self._workers,
            partial(progress, "putting pictures into the report"),
        )
        report = render_report(experiment, pictures)
        write_whole(self.output_dir / JSON_FILE, to_json(experiment))
        write_whole(self.output_dir / REPORT_FILE, report)


def family_at(model_path: str | Path) -> Family:
    """Find the family of a name, of a hub's ``owner/name``, or of a checkpoint's folder.

    The last part of the path counts if it is a family's name, else the sizes in the folder's
    ``config.json``.

    Raises:
        UnknownModel: neither names a family.
    """
    path = Path(model_path)
    name = path.name.lower()
    if name in FAMILIES:
        return FAMILIES[name]
    config = _config_in(path)
    if config is None:
        return family_named(str(model_path))  # raises UnknownModel with the known families
    for family in FAMILIES.values():
        if _sizes(family) == _sizes_in(config):
            return family
    raise UnknownModel(
        f"{path.name}/config.json is of no family that is known: {', '.join(FAMILIES)}",
        actual=str(config.get("model_type")),
        known=list(FAMILIES),
    )


def _config_in(folder: Path) -> dict[str, Any] | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def _sizes(family: Family) -> tuple[int, int, int | None]:
    """Return the values that tell families apart: generation, model width, projector width."""
    connector = family.connector
    hidden = connector.projector_hidden if family.generation == 2 else None
    return family.generation, connector.llm_width, hidden


def _sizes_in(config: dict[str, Any]) -> tuple[Any, Any, Any]:
    adapter = config.get("adapter_config")
    if isinstance(adapter, dict):
        return 2, adapter.get("text_hidden_size"), adapter.get("intermediate_size")
    return 1, config.get("hidden_size"), None
