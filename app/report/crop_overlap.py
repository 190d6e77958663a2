"""The crop-overlap experiment, from a set of images to its files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from app.core.control.methods import compare_methods
from app.core.errors import InvalidDataset
from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig, make_config
from app.core.plan.plan import CropPlan
from app.files import check_writable, write_whole
from app.report.answer import EXPERIMENT, to_json
from app.report.dataset.candidates import Candidate, Candidates, all_candidates, profiled_candidates
from app.report.dataset.checking import Checking
from app.report.dataset.identity import plain_text
from app.report.dataset.images import Dataset, open_dataset
from app.report.dataset.planning import plan_images
from app.report.dataset.selection import Selection, select
from app.report.drawing import Drawing, draw_all, files_of
from app.report.experiment import Asked, Examined, Experiment, SelectionFacts
from app.report.figures.averages import PredictLatency
from app.report.figures.set_statistics import set_statistics
from app.report.html.embedding import embed_all
from app.report.html.page import render_report
from app.report.model import family_at
from app.report.progress import Progress, bars
from app.report.timing.measured import measured_counts

JSON_FILE = f"{EXPERIMENT}.json"
REPORT_FILE = f"{EXPERIMENT}.html"

MAX_PIXELS = 64_000_000
"""Larger images are skipped; as the service's setting has it."""


def no_profile(_: CropPlan) -> Latency:
    """What is known of a latency without a profile."""
    return Latency("none", "no profile was named")


class CropOverlapAnalysis:
    """The experiment on one model and into one folder; :meth:`run` does it for a set of images.

    The same input writes the same bytes.

    Args:
        model_path: a family's name, a hub's ``owner/name`` or a checkpoint's folder. No weights are
            read.
        output_dir: where the files go; older ones of the same names are replaced.
        max_crops, overlap_margins, crop_size_px: the family's own by default.
        latency: predicts latencies, as a profile's ``Predictions.latency``.
        max_pixels: larger images are skipped.
        workers: processes that draw. With more than one, a script that calls :meth:`run` needs the
            guard ``if __name__ == "__main__"``, as always with ``multiprocessing``.
        progress: told how far it is; by default bars are shown on a terminal.

    Raises:
        UnknownModel: the path names no family.
        InvalidConfig: as :func:`app.core.plan.config.make_config` says.
    """

    def __init__(
        self,
        model_path: str | Path,
        output_dir: str | Path,
        *,
        max_crops: int | None = None,
        overlap_margins: tuple[int, int] | None = None,
        crop_size_px: int | None = None,
        latency: PredictLatency = no_profile,
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
        self._showing: Callable[[], AbstractContextManager[Progress]] = (
            bars if progress is None else lambda: nullcontext(progress)
        )

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
        """Analyse a set, look at some of its images closely, and write all files.

        Args:
            dataset_name: a folder of images or a COCO-style annotation file.
            split: one of several in it, such as ``val2017``.
            exp2_results_path: a profiling; the images that are looked at are then among its.
            num_images: how many images are looked at.
            target_max_crops: grid crops; of the images with the number nearest to it one is taken.
            save_crop_images: write the originals and their crops, too.
            images: the folder with the files of an annotation file, where it is not beside it.

        Returns:
            What was found; ``skipped`` says what could not be taken, and why.

        Raises:
            InvalidDataset, InvalidProfiling: they cannot be used.
            ValueError: fewer than one image wanted.
            OSError: a file cannot be written.
        """
        if num_images < 1:
            raise ValueError(f"num_images must be at least 1, got {num_images}")
        files = Path(images) if images is not None else None
        asked = Asked(save_crop_images, plain_text(files.name) if files else None)
        with self._showing() as progress:
            dataset = open_dataset(
                Path(dataset_name),
                split,
                images=files,
                max_pixels=self._max_pixels,
                progress=partial(progress, "reading sizes"),
            )
            check_writable(self.output_dir)
            experiment = self._analyse(
                dataset, exp2_results_path, num_images, target_max_crops, asked, progress
            )
            self._write(experiment, progress)
        return experiment

    def _analyse(
        self,
        dataset: Dataset,
        profiling: str | Path | None,
        num_images: int,
        target_max_crops: int,
        asked: Asked,
        progress: Progress,
    ) -> Experiment:
        plans, collapsed = plan_images(dataset, self.config)
        candidates = self._candidates(dataset, plans, profiling)
        checking = Checking(
            self._max_pixels,
            min(num_images, candidates.number),
            partial(progress, "checking images"),
        )
        chosen = select(candidates.by_crops, num_images, target_max_crops, checking.is_whole)
        return Experiment(
            asked=asked,
            config=self.config,
            latency=self._latency,
            dataset=dataset,
            selection=_facts(chosen, num_images, candidates),
            examined=tuple(self._examine(one, asked.save_crop_images) for one in chosen.items),
            skipped=(*dataset.skipped, *collapsed, *candidates.skipped, *checking.damaged),
            plans=plans,
            statistics=set_statistics(
                (image.size for image in dataset.images),
                self.config,
                self._latency,
                partial(progress, "comparing settings"),
            ),
            measured=measured_counts(candidates.profiled),
        )

    def _candidates(
        self, dataset: Dataset, plans: dict[int | str, CropPlan], profiling: str | Path | None
    ) -> Candidates:
        if profiling is None:
            return all_candidates(dataset, plans)
        return profiled_candidates(dataset, plans, Path(profiling))

    def _examine(self, candidate: Candidate, save_crop_images: bool) -> Examined:
        image, plan = candidate.image, candidate.plan
        return Examined(
            image=image,
            plan=plan,
            methods=compare_methods(plan),
            profiled=candidate.profiled,
            files=files_of(
                image.image_id, plan, is_there=image.path is not None, crops=save_crop_images
            ),
        )

    def _write(self, experiment: Experiment, progress: Progress) -> None:
        """Pictures first: whoever finds the JSON file or the report finds what they name."""
        drawings = [
            Drawing(one.plan, one.image.path, one.files, self.output_dir, self._max_pixels)
            for one in experiment.examined
        ]
        draw_all(drawings, self._workers, partial(progress, "drawing pictures"))
        pictures = embed_all(
            experiment.examined,
            self.output_dir,
            self._workers,
            partial(progress, "putting pictures into the report"),
        )
        report = render_report(experiment, pictures)
        write_whole(self.output_dir / JSON_FILE, to_json(experiment))
        write_whole(self.output_dir / REPORT_FILE, report)


def _facts(chosen: Selection[Candidate], wanted: int, candidates: Candidates) -> SelectionFacts:
    if chosen.closest_crops is None:
        raise InvalidDataset("no image can be looked at: none of them could be decoded")
    return SelectionFacts(
        source=candidates.source,
        wanted=wanted,
        target_crops=chosen.target_crops,
        closest_crops=chosen.closest_crops,
        agreement=candidates.agreement,
        measured_on=candidates.measured_on,
        contended=candidates.contended,
    )
