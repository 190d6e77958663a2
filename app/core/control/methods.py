"""Compare the four ways to change the cost of one image. Every row of the table is a plan.

The needs of each are read from the image processors and vision towers of allenai's Molmo 1 code,
transformers' molmo2 and vLLM (docs/guide/recipes.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from app.core.control.fitting import fitting_sizes
from app.core.errors import CollapsedImage, InvalidConfig
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan, plan_with_grid
from app.core.plan.work import plan_flops

Method = Literal["max_crops", "resize", "overlap_margins", "crop_size_px"]
Needs = Literal["nothing", "image", "processor", "model"]

NEEDS: Mapping[Method, Needs] = {
    "max_crops": "processor",
    "resize": "image",
    "overlap_margins": "processor",
    "crop_size_px": "model",
}
"""Another setting needs another image, another argument of the server's image processor, or another
model."""

_MOST_MARGINS = 14
"""At most this many sums of margins are listed: all sums that pooling allows at the families' own
crop sides."""
_SIDE_STEP_PATCHES = 4
"""Twice the pooling, so that crops keep whole tokens: 56 px."""


def is_as_trained(plan: CropPlan) -> bool:
    """Return True if the released weights were trained with such plans.

    Those have the family's own margins and crop side, and no more crops than its ``max_crops``.
    The quality of all others is unknown.
    """
    config, family = plan.config, plan.config.family
    return (
        config.is_native
        and config.overlap_margins == family.overlap_margins
        and plan.grid.crops <= family.default_max_crops
    )


@dataclass(frozen=True, slots=True)
class MethodRow:
    """Hold one setting of one method; all else is as in ``current``, the plan in force.

    ``best`` marks the method's answer to a target, see :func:`compare_methods`.
    """

    method: Method
    plan: CropPlan
    current: CropPlan
    best: bool = False

    @property
    def is_current(self) -> bool:
        return self.plan == self.current

    @property
    def needs(self) -> Needs:
        """Return the change from the current plan to this one."""
        return "nothing" if self.is_current else NEEDS[self.method]

    @property
    def setting(self) -> str:
        """Return the method's own value in a request: ``4``, ``560x420``, ``4,4``, ``336``."""
        config = self.plan.config
        left, right = config.overlap_margins
        match self.method:
            case "max_crops":
                return str(config.max_crops)
            case "resize":
                return str(self.plan.image)
            case "overlap_margins":
                return f"{left},{right}"
            case "crop_size_px":
                return str(config.crop_size_px)

    @property
    def as_trained(self) -> bool:
        """Return :func:`is_as_trained` of the plan."""
        return is_as_trained(self.plan)

    @property
    def scale_x(self) -> float:
        """Return the canvas px per px of the current image, resizing included."""
        return self.plan.canvas.scaled_width / self.current.image.width

    @property
    def scale_y(self) -> float:
        return self.plan.canvas.scaled_height / self.current.image.height

    @property
    def gflop(self) -> float:
        """Return the needed work from crops to vision tokens, see ``app.core.plan.work``."""
        return plan_flops(self.plan) / 1e9

    @property
    def gflop_ratio(self) -> float:
        """Return the work per work of the current plan."""
        return plan_flops(self.plan) / plan_flops(self.current)

    @property
    def prompt_tokens_ratio(self) -> float:
        """Return the prompt tokens per prompt token of the current plan."""
        return self.plan.tokens.prompt / self.current.tokens.prompt


@dataclass(frozen=True, slots=True)
class MethodComparison:
    """Hold the current plan, the target if there is one, and the settings of every method."""

    current: CropPlan
    target_crops: int | None
    target_tokens: int | None
    rows: tuple[MethodRow, ...]


def compare_methods(
    current: CropPlan, *, target_crops: int | None = None, target_tokens: int | None = None
) -> MethodComparison:
    """Plan the image of ``current`` under the settings of every method, method by method.

    The current plan is among the rows of each method. With a target, a method has one row marked
    as best, at or below the target: the current plan if possible, else the nearest. Of equal crops
    the most prompt tokens are best, and then the least work.

    Args:
        current: the plan in force.
        target_crops: most grid crops.
        target_tokens: most prompt tokens.

    Raises:
        InvalidConfig: both targets.
    """
    if target_crops is not None and target_tokens is not None:
        raise InvalidConfig(
            "give target_crops or target_tokens, not both", parameter="target_crops"
        )
    table: list[MethodRow] = []
    for method in get_args(Method):
        rows = [MethodRow(method, plan, current) for plan in method_plans(method, current)]
        best = _best(rows, target_crops, target_tokens)
        table += [replace(row, best=row is best) for row in rows]
    return MethodComparison(current, target_crops, target_tokens, tuple(table))


def _best(
    rows: Sequence[MethodRow], target_crops: int | None, target_tokens: int | None
) -> MethodRow | None:
    if target_crops is not None:
        within = [row for row in rows if row.plan.grid.crops <= target_crops]
    elif target_tokens is not None:
        within = [row for row in rows if row.plan.tokens.prompt <= target_tokens]
    else:
        return None

    def rank(row: MethodRow) -> tuple[float, ...]:
        crops = row.plan.grid.crops if target_crops is not None else 0
        return row.is_current, crops, row.plan.tokens.prompt, -row.gflop

    return max(within, key=rank, default=None)


def method_plans(method: Method, current: CropPlan) -> Iterable[CropPlan]:
    """Plan every setting of a method, rising, with all else as in ``current``.

    ``current`` is one of the plans. A setting that collapses the image has no plan.
    """
    image, config = current.image, current.config
    match method:
        case "max_crops":
            return _max_crops_plans(current)
        case "resize":
            return _resized_plans(current)
        case "overlap_margins":
            return _planned(
                image,
                (replace(config, overlap_margins=both) for both in margin_settings(config)),
            )
        case "crop_size_px":
            return _planned(
                image, (replace(config, crop_size_px=side) for side in side_settings(config))
            )


def _max_crops_plans(current: CropPlan) -> Iterable[CropPlan]:
    """Plan each tiling once: under the value in force if possible, else under the smallest."""
    config = current.config
    most = max(config.max_crops, config.family.default_max_crops)
    configs = (replace(config, max_crops=count) for count in range(1, most + 1))
    by_grid: dict[Grid, CropPlan] = {}
    for plan in _planned(current.image, configs):
        if plan == current or plan.grid not in by_grid:
            by_grid[plan.grid] = plan
    return by_grid.values()


def _resized_plans(current: CropPlan) -> Iterator[CropPlan]:
    """Plan each tiling that keeping the aspect reaches; the own tiling has the image's size."""
    sizes = fitting_sizes(current.image, current.config)
    for grid in sorted(sizes, key=lambda grid: (grid.crops, grid.rows)):
        yield plan_with_grid(sizes[grid], grid, current.config)


def margin_settings(config: CropConfig) -> list[tuple[int, int]]:
    """List margins from none to the most with a window left, those in force among them.

    Cost depends on their sum alone, so each sum comes once, split as evenly as pooling allows. A
    step is the pooling, or more for a large crop with too many steps.
    """
    # Margins of a pooled canvas need not be multiples of the pooling.
    unit = config.pooling if config.pools_crops else 1
    step = config.pooling * -(-config.crop_patches // (config.pooling * _MOST_MARGINS))
    by_sum: dict[int, tuple[int, int]] = {}
    for total in range(0, config.crop_patches, step):
        left = total // 2 // unit * unit
        by_sum[total] = (left, total - left)
    by_sum[config.margin_patches] = config.overlap_margins
    return [by_sum[total] for total in sorted(by_sum)]


def side_settings(config: CropConfig) -> list[int]:
    """List crop sides in px around the family's own, from half to one and a half, and the current.

    They are a few patches apart, and the margins leave each a window.
    """
    patch = config.patch_size_px
    native = config.family.crop_size_px // patch
    reach = native // 2 // _SIDE_STEP_PATCHES * _SIDE_STEP_PATCHES
    sides = {config.crop_patches, *range(native - reach, native + reach + 1, _SIDE_STEP_PATCHES)}
    return [side * patch for side in sorted(sides) if side > config.margin_patches]


def _planned(image: Size, configs: Iterable[CropConfig]) -> Iterator[CropPlan]:
    for config in configs:
        try:
            yield make_plan(image, config)
        except CollapsedImage:
            continue
