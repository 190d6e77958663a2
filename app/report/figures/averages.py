"""Compute the average cost of the images of a set under one configuration."""

from collections import Counter
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
"""Predict the latency of a plan's vision tokens, or give the reason for none."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Plan one size for ``images`` images.

    ``original`` is the size before any resize; without a resize it equals the plan's size.
    """

    images: int
    original: Size
    plan: CropPlan


@dataclass(frozen=True, slots=True)
class Averages:
    """Hold means over images, each counted once.

    Overlap and redundancy are of the whole canvas. ``kept_ratio`` is a JSON name: the retained
    share of the image's pixels in the grid crops (``app.core.control.retained``). ``latency_ms`` is
    the median predicted by a profile, None without a prediction for some image.
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
    """Plan every size; a size that collapses is left out.

    Args:
        sizes: the number of images of each size.
        config: for all plans.
        resized: changes a size before planning.
    """
    for size, images in sizes.items():
        try:
            plan = make_plan(resized(size), config)
        except CollapsedImage:
            continue
        yield Planned(images, size, plan)


class Tally:
    """Add up means over a set, one planned size at a time, under one configuration.

    No plan is stored: thousands of sizes under dozens of settings would cost more memory and
    garbage collection than planning.
    """

    def __init__(self, planned: Iterable[Planned] = ()) -> None:
        self._plans: dict[Grid, CropPlan] = {}  # the plans of one grid cost the same
        self._images: Counter[Grid] = Counter()
        self._retained = 0.0
        for one in planned:
            self.add(one)

    @property
    def images(self) -> int:
        """Return the number of added images."""
        return self._images.total()

    def add(self, one: Planned) -> None:
        """Add the images of one size."""
        self._plans.setdefault(one.plan.grid, one.plan)
        self._images[one.plan.grid] += one.images
        self._retained += retained_pixels(one.plan) / one.original.pixels * one.images

    def plans(self) -> list[CropPlan]:
        """Return one plan a grid."""
        return list(self._plans.values())

    def averages(self, latency: PredictLatency) -> Averages:
        """Return the means over all added images.

        Raises:
            ValueError: no image was added.
        """
        times = {grid: latency(plan).at(50) for grid, plan in self._plans.items()}

        def mean(of: Callable[[CropPlan], float]) -> float:
            return weighted_mean((of(plan), self._images[plan.grid]) for plan in self.plans())

        return Averages(
            total_crops=mean(lambda plan: plan.total_crops),
            patch_tokens=mean(lambda plan: plan.tokens.patch),
            prompt_tokens=mean(lambda plan: plan.tokens.prompt),
            gflop=mean(lambda plan: plan_flops(plan) / 1e9),
            overlap_ratio=mean(lambda plan: plan.overlap().overlap_ratio),
            redundancy_ratio=mean(lambda plan: plan.overlap().redundancy_ratio),
            kept_ratio=self._retained / self.images,
            latency_ms=None
            if None in times.values()
            else mean(lambda plan: times[plan.grid] or 0.0),
        )


def weighted_mean(pairs: Iterable[tuple[float, int]]) -> float:
    """Return the mean of (value, weight) pairs.

    Raises:
        ValueError: the sum of the weights is 0.
    """
    total = weight = 0.0
    for value, of_it in pairs:
        total += value * of_it
        weight += of_it
    if not weight:
        raise ValueError("a mean needs something to be the mean of")
    return total / weight


def padding_ratio(plan: CropPlan) -> float:
    """Return the share of the canvas without image content."""
    return plan.canvas.padding_ratio(plan.canvas.box)
