"""The four ways to change what one image costs, in one table: every row is a plan of its own.

What each needs is read from the image processors and vision towers of allenai's Molmo 1 code,
transformers' molmo2 and vLLM; docs/guide/recipes.md says more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from app.core.control.method_settings import Method, method_plans
from app.core.errors import InvalidConfig
from app.core.plan.plan import CropPlan
from app.core.plan.work import plan_flops

Needs = Literal["nothing", "image", "processor", "model"]

NEEDS: Mapping[Method, Needs] = {
    "max_crops": "processor",
    "resize": "image",
    "overlap_margins": "processor",
    "crop_size_px": "model",
}
"""What another setting changes: the image, an argument of the server's image processor, or the
model as well."""


def is_as_trained(plan: CropPlan) -> bool:
    """Whether the released weights were trained with such plans.

    That is the family's own margins and crop side, and no more crops than its ``max_crops``.
    For all others quality is unknown.
    """
    config, family = plan.config, plan.config.family
    return (
        config.is_native
        and config.overlap_margins == family.overlap_margins
        and plan.grid.crops <= family.default_max_crops
    )


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One setting of one method; all else is as in ``current``, the plan that was asked about.

    ``best`` marks the method's answer to a target, as :func:`compare_methods` says.
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
        """What has to change to get from the current plan to this one."""
        return "nothing" if self.is_current else NEEDS[self.method]

    @property
    def setting(self) -> str:
        """The method's own value, as a request writes it: ``4``, ``560x420``, ``4,4``, ``336``."""
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
        """As :func:`is_as_trained` says of the plan."""
        return is_as_trained(self.plan)

    @property
    def scale_x(self) -> float:
        """Canvas px per px of the image that was asked about, resizing included."""
        return self.plan.canvas.scaled_width / self.current.image.width

    @property
    def scale_y(self) -> float:
        return self.plan.canvas.scaled_height / self.current.image.height

    @property
    def gflop(self) -> float:
        """Needed work from crops to vision tokens, as ``app.core.plan.work`` counts it."""
        return plan_flops(self.plan) / 1e9

    @property
    def gflop_ratio(self) -> float:
        """Work per work of the current plan."""
        return plan_flops(self.plan) / plan_flops(self.current)

    @property
    def prompt_tokens_ratio(self) -> float:
        """Prompt tokens per prompt token of the current plan."""
        return self.plan.tokens.prompt / self.current.tokens.prompt


@dataclass(frozen=True, slots=True)
class MethodComparison:
    """The plan as it is now, the target if there is one, and what every method can make of it."""

    current: CropPlan
    target_crops: int | None
    target_tokens: int | None
    rows: tuple[MethodRow, ...]


def compare_methods(
    current: CropPlan, *, target_crops: int | None = None, target_tokens: int | None = None
) -> MethodComparison:
    """What every method can make of the image of ``current``, method by method.

    The current plan is among the rows of each. With a target, each method that can stay at or below
    it has one row marked as best: the current plan if that does, else the nearest to the target;
    of as many crops the one with most prompt tokens, and then that of least work.

    Args:
        current: the plan as it is now.
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
