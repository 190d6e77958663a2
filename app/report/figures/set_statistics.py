"""Compute the statistics of a set: the frequency of tilings, their overlap and their cost."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.core.control.fitting import canvas_grids
from app.core.latency.latency import Latency
from app.core.plan.canvas import canvas_size
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.overlap import Overlap
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tokens import TokenCounts
from app.core.plan.work import plan_flops
from app.report.figures.averages import (
    Averages,
    Planned,
    PredictLatency,
    Tally,
    padding_ratio,
    plan_each,
    weighted_mean,
)
from app.report.figures.cost_changes import Cliffs, SettingRow, compare_settings, count_cliffs
from app.report.figures.overlap_ranges import Shape, ShapeRow, shape_of, shape_rows


@dataclass(frozen=True, slots=True)
class CountRow:
    """Count the images of one number of crops."""

    crops: int
    total_crops: int
    images: int
    share: float


@dataclass(frozen=True, slots=True)
class TilingRow:
    """Describe an allowed tiling and its images.

    ``size`` is the size that gets the tiling unscaled. ``overlap`` is of the whole canvas and
    depends on the grid alone. The means over the images' content and padding are None without an
    image.
    """

    grid: Grid
    shape: Shape
    size: Size
    images: int
    share: float
    tokens: TokenCounts
    gflop: float
    overlap: Overlap
    content_overlap_ratio: float | None
    padding_ratio: float | None
    latency: Latency


@dataclass(frozen=True, slots=True)
class Content:
    """Hold means over images, of the patches with image content.

    Attributes:
        encoder_redundancy: patches run by the encoder, global crop included, per such patch.
        padding_ratio: the share of the canvas without image content.
    """

    overlap_ratio: float
    redundancy_ratio: float
    encoder_redundancy: float
    padding_ratio: float


@dataclass(frozen=True, slots=True)
class SetStatistics:
    """Hold all statistics of a set.

    Attributes:
        collapsed: images too narrow for a plan.
        reduced: images shown smaller on their canvas, in either direction.
    """

    images: int
    distinct_sizes: int
    collapsed: int
    reduced: int
    averages: Averages
    content: Content
    counts: tuple[CountRow, ...]
    tilings: tuple[TilingRow, ...]
    shapes: tuple[ShapeRow, ...]
    settings: tuple[SettingRow, ...]
    cliffs: Cliffs


def set_statistics(
    sizes: Iterable[Size],
    config: CropConfig,
    latency: PredictLatency,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SetStatistics:
    """Compute the statistics of a set; equal sizes are planned once.

    Args:
        sizes: of all images.
        config: for all plans.
        latency: predicts the latency of a plan.
        progress: called with the number of compared settings done and the number of all.

    Raises:
        ValueError: no size has a plan.
    """
    counted = Counter(sizes)
    planned = tuple(plan_each(counted, config))
    images = sum(one.images for one in planned)
    return SetStatistics(
        images=images,
        distinct_sizes=len(planned),
        collapsed=counted.total() - images,
        reduced=sum(one.images for one in planned if _is_reduced(one.plan)),
        averages=Tally(planned).averages(latency),
        content=_content(planned),
        counts=_counts(planned),
        tilings=_tilings(planned, config, latency),
        shapes=shape_rows(planned, config),
        settings=compare_settings(counted, planned, config, latency, progress),
        cliffs=count_cliffs(planned),
    )


def _is_reduced(plan: CropPlan) -> bool:
    canvas, image = plan.canvas, plan.image
    return canvas.scaled_width < image.width or canvas.scaled_height < image.height


def _content(planned: Sequence[Planned]) -> Content:
    overlaps = [(one.plan.content_overlap(), one.images) for one in planned]
    return Content(
        overlap_ratio=weighted_mean((seen.overlap_ratio, n) for seen, n in overlaps),
        redundancy_ratio=weighted_mean((seen.redundancy_ratio, n) for seen, n in overlaps),
        encoder_redundancy=_mean(planned, CropPlan.encoder_redundancy),
        padding_ratio=_mean(planned, padding_ratio),
    )


def _counts(planned: Sequence[Planned]) -> tuple[CountRow, ...]:
    images: Counter[int] = Counter()
    for one in planned:
        images[one.plan.grid.crops] += one.images
    total = images.total()
    return tuple(
        CountRow(crops, crops + 1, images[crops], images[crops] / total) for crops in sorted(images)
    )


def _tilings(
    planned: Sequence[Planned], config: CropConfig, latency: PredictLatency
) -> tuple[TilingRow, ...]:
    by_grid: dict[Grid, list[Planned]] = {
        grid: [] for grids in canvas_grids(config).values() for grid in grids
    }
    for one in planned:
        by_grid.setdefault(one.plan.grid, []).append(one)
    total = sum(one.images for one in planned)

    def row(grid: Grid) -> TilingRow:
        here = by_grid[grid]
        images = sum(one.images for one in here)
        plan = here[0].plan if here else make_plan(canvas_size(grid, config), config)
        return TilingRow(
            grid=grid,
            shape=shape_of(grid),
            size=canvas_size(grid, config),
            images=images,
            share=images / total,
            tokens=plan.tokens,
            gflop=plan_flops(plan) / 1e9,
            overlap=plan.overlap(),
            content_overlap_ratio=_mean(here, lambda plan: plan.content_overlap().overlap_ratio)
            if here
            else None,
            padding_ratio=_mean(here, padding_ratio) if here else None,
            latency=latency(plan),
        )

    return tuple(row(grid) for grid in sorted(by_grid, key=lambda grid: (grid.crops, grid.rows)))


def _mean(planned: Sequence[Planned], of: Callable[[CropPlan], float]) -> float:
    return weighted_mean((of(one.plan), one.images) for one in planned)
