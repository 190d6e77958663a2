"""What the images of a set cost on average under one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.core.control.retained import retained_pixels
from app.core.errors import CollapsedImage
from app.core.latency.latency import Latency
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.work import plan_flops

PredictLatency = Callable[[CropPlan], Latency]
"""The latency of a plan's vision tokens that a profile predicts, or why there is none."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One size of the set, planned: ``images`` have it.

    ``original`` is their own size, and the plan's unless they were resized before.
    """

    images: int
    original: Size
    plan: CropPlan


@dataclass(frozen=True, slots=True)
class Averages:
    """Means over images, each counted once.

    Overlap and redundancy are of the whole canvas. ``kept_ratio`` is the share of the image's own
    pixels that reach the grid crops (``app.core.control.retained``). ``latency_ms`` is the median
    that a profile predicts; None where it predicts none for some image.
    """

    total_crops: float
    patch_tokens: float
    prompt_tokens: float
    gflop: float
    overlap_ratio: float
    redundancy_ratio: float
    kept_ratio: float
    latency_ms: float | None


def plan_each(
    sizes: Mapping[Size, int],
    config: CropConfig,
    resized: Callable[[Size], Size] = lambda size: size,
) -> Iterator[Planned]:
    """The plan of every size that has one: an image so narrow that it collapses has none.

    Args:
        sizes: how many images have each size.
        config: what all are planned under.
        resized: what becomes of a size before.
    """
    for size, images in sizes.items():
        try:
            plan = make_plan(resized(size), config)
        except CollapsedImage:
            continue
        yield Planned(images, size, plan)


class Tally:
    """What means over a set need, taken in as its images are planned, all under one configuration.

    So that no plan is kept: those of thousands of sizes under dozens of settings would cost more to
    keep, and to look through for garbage, than to make.
    """

    def __init__(self) -> None:
        self.images = 0
        self._by_grid: dict[Grid, _Alike] = {}
        self._kept = 0.0

    def add(self, one: Planned) -> None:
        """Take in the images of one size."""
        self.images += one.images
        alike = self._by_grid.get(one.plan.grid)
        if alike is None:
            self._by_grid[one.plan.grid] = _Alike(one.plan, one.images)
        else:
            alike.images += one.images
        self._kept += retained_pixels(one.plan) / one.original.pixels * one.images

    def plans(self) -> list[CropPlan]:
        """One plan a grid."""
        return [alike.plan for alike in self._by_grid.values()]

    def averages(self, latency: PredictLatency) -> Averages:
        """Means over all images that were taken in.

        Raises:
            ValueError: there is none.
        """
        times = {grid: latency(alike.plan).at(50) for grid, alike in self._by_grid.items()}

        def mean(of: Callable[[CropPlan], float]) -> float:
            return weighted_mean((of(one.plan), one.images) for one in self._by_grid.values())

        return Averages(
            total_crops=mean(lambda plan: plan.total_crops),
            patch_tokens=mean(lambda plan: plan.tokens.patch),
            prompt_tokens=mean(lambda plan: plan.tokens.prompt),
            gflop=mean(lambda plan: plan_flops(plan) / 1e9),
            overlap_ratio=mean(lambda plan: plan.overlap().overlap_ratio),
            redundancy_ratio=mean(lambda plan: plan.overlap().redundancy_ratio),
            kept_ratio=self._kept / self.images,
            latency_ms=None
            if None in times.values()
            else mean(lambda plan: times[plan.grid] or 0.0),
        )


@dataclass(slots=True)
class _Alike:
    """Images of one grid, which cost the same: the plan of any of them, and how many they are."""

    plan: CropPlan
    images: int


def averages(planned: Iterable[Planned], latency: PredictLatency) -> Averages:
    """Means over the images of a set, all planned under one configuration.

    Raises:
        ValueError: there is no image.
    """
    tally = Tally()
    for one in planned:
        tally.add(one)
    return tally.averages(latency)


def weighted_mean(pairs: Iterable[tuple[float, int]]) -> float:
    """The mean of (value, weight) pairs.

    Raises:
        ValueError: they have no weight.
    """
    total = weight = 0.0
    for value, of_it in pairs:
        total += value * of_it
        weight += of_it
    if not weight:
        raise ValueError("a mean needs something to be the mean of")
    return total / weight


def padding_ratio(plan: CropPlan) -> float:
    """The share of the canvas that shows no image."""
    return plan.canvas.padding_ratio(plan.canvas.box)
