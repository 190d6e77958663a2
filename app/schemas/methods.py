"""Define the answer to a comparison of the four ways to another cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from pydantic import BaseModel, Field

from app.core.control.methods import NEEDS, Method, MethodComparison, MethodRow, Needs
from app.core.latency.latency import Latency
from app.core.plan.families import Family
from app.core.plan.plan import CropPlan
from app.schemas.answer import mirrored
from app.schemas.latency import LatencyAnswer
from app.schemas.plan import ConfigAnswer, ImageAnswer, TilingAnswer, TokensAnswer


class MethodAnswer(BaseModel):
    method: Method
    needs: Needs = Field(
        description="What another setting changes: the `image`, an argument of the server's image "
        "`processor`, or the configuration of processor and `model`."
    )
    summary: str = Field(description="What it does and risks, in a sentence.")

    @classmethod
    def of(cls, method: Method, family: Family) -> MethodAnswer:
        return cls(method=method, needs=NEEDS[method], summary=_summary(method, family))


def _summary(method: Method, family: Family) -> str:
    left, right = family.overlap_margins
    patches = family.crop_size_px // family.patch_size_px
    match method:
        case "max_crops":
            return (
                "The image stays as it is and Molmo fits it into fewer crops; the released weights "
                f"were trained with up to {family.default_max_crops}."
            )
        case "resize":
            return (
                "A smaller or larger image of the same aspect gets another tiling; nothing of the "
                "server changes, but not every number of crops can be reached."
            )
        case "overlap_margins":
            return (
                "Neighbouring crops share more or less of the picture; the weights fit, but were "
                f"trained with {left},{right}, so the quality of any other is unknown."
            )
        case "crop_size_px":
            return (
                "Crops of another side; the encoder's position embeddings are for "
                f"{patches}x{patches} patches and must be interpolated, which the released weights "
                "were not trained for."
            )


class PlanParametersAnswer(BaseModel):
    """Give the parameters of GET /plan for a row."""

    model: str
    width: int
    height: int
    max_crops: int
    overlap_margins: str
    crop_size_px: int

    @classmethod
    def of(cls, plan: CropPlan) -> PlanParametersAnswer:
        config = plan.config
        left, right = config.overlap_margins
        return cls(
            model=config.family.name,
            width=plan.image.width,
            height=plan.image.height,
            max_crops=config.max_crops,
            overlap_margins=f"{left},{right}",
            crop_size_px=config.crop_size_px,
        )


class MethodRowAnswer(BaseModel):
    method: Method
    setting: str = Field(description="The method's own value, such as `4`, `560x420` or `4,4`.")
    current: bool = Field(description="Whether this is the plan as it is now.")
    best: bool = Field(description="The method's answer to the target, if there is one.")
    needs: Needs = Field(description="What has to change for this setting, as in methods.")
    as_trained: bool = Field(
        description="Whether the released weights were trained with such plans: the family's own "
        "margins and crop side, and no more crops than its max_crops. Else quality is unknown."
    )
    tiling: TilingAnswer
    tokens: TokensAnswer
    prompt_tokens_ratio: float = Field(description="Per prompt token of the current plan.")
    gflop: float = Field(description="Needed work from crops to vision tokens.")
    gflop_ratio: float = Field(description="Per GFLOP of the current plan.")
    overlap_ratio: float = Field(description="Patches in more than one crop per distinct patch.")
    scale_x: float = Field(description="Canvas px per px of the image, resizing included.")
    scale_y: float
    latency: LatencyAnswer
    parameters: PlanParametersAnswer = Field(description="With these GET /plan gives the row.")

    @classmethod
    def of(cls, row: MethodRow, latency: Latency) -> MethodRowAnswer:
        plan = row.plan
        return mirrored(
            cls,
            row,
            current=row.is_current,
            tiling=mirrored(TilingAnswer, plan.grid),
            tokens=mirrored(TokensAnswer, plan.tokens),
            overlap_ratio=plan.overlap().overlap_ratio,
            latency=LatencyAnswer.of(latency, plan.tokens.patch),
            parameters=PlanParametersAnswer.of(plan),
        )


class MethodsAnswer(BaseModel):
    model: str
    config: ConfigAnswer
    image: ImageAnswer
    target_crops: int | None
    target_tokens: int | None
    methods: list[MethodAnswer]
    rows: list[MethodRowAnswer] = Field(description="Method by method, settings rising.")

    @classmethod
    def of(
        cls, comparison: MethodComparison, latency_of: Callable[[CropPlan], Latency]
    ) -> MethodsAnswer:
        current = comparison.current
        family = current.config.family
        return mirrored(
            cls,
            comparison,
            model=family.name,
            config=mirrored(ConfigAnswer, current.config),
            image=ImageAnswer.of(current.image),
            methods=[MethodAnswer.of(method, family) for method in get_args(Method)],
            rows=[MethodRowAnswer.of(row, latency_of(row.plan)) for row in comparison.rows],
        )
