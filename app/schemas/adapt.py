"""Define the answer to a budget: the chosen image and its alternatives."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from app.core.adaptation import Adaptation, Wish
from app.core.control.budget import AdaptMode, ResizingMode, Strategy
from app.core.control.choice import Judged
from app.core.latency.predictions import Predictions
from app.schemas.answer import Mirror, Rounded, mirrored
from app.schemas.plan import PlanAnswer, TilingAnswer
from app.schemas.profile import ProfileInUseSummary


class PrefillCostAnswer(Mirror):
    """Repeat the language model's part of a budget."""

    ms_per_token: float
    base_ms: float


class BudgetAnswer(BaseModel):
    """Repeat the request."""

    latency_ms: float | None
    percentile: float
    max_tokens: int | None
    quality_threshold: float | None = Field(description="Least SSIM of an image that is made.")
    strategy: Strategy
    modes: list[ResizingMode]
    prefill: PrefillCostAnswer | None = Field(description="Part of `latency_ms` where it is given.")

    @classmethod
    def of(cls, wish: Wish) -> BudgetAnswer:
        budget = wish.budget
        return mirrored(
            cls,
            wish,
            latency_ms=budget.latency_ms,
            percentile=budget.percentile,
            max_tokens=budget.tokens,
        )


class ImageQualityAnswer(BaseModel):
    """Compare the luma of the model's canvas with the original's: docs/method/quality.md."""

    ssim: Rounded
    psnr_db: Rounded | None = Field(description="null: no difference.")
    pixels_per_patch: Rounded = Field(
        description="Px of the original that are retained, per patch that the encoder runs."
    )


class CandidateRow(BaseModel):
    """Describe one candidate. `width` and `height` are those of the image to send."""

    mode: AdaptMode
    max_crops: int = Field(description="The limit that the inference server must run with.")
    tiling: TilingAnswer
    width: int
    height: int
    scale_x: float = Field(description="Output px per px of the image's content.")
    scale_y: float
    upscaled: bool
    prompt_tokens: int
    latency_ms: Rounded | None = Field(
        description="Predicted, at the percentile asked for, prefill included where it is given."
    )
    image_quality: ImageQualityAnswer | None = Field(description="null: not measured.")
    within_budget: bool
    pareto: bool = Field(description="No other is as good in all and better in one of the three.")
    chosen: bool

    @classmethod
    def of(cls, one: Judged) -> CandidateRow:
        candidate = one.candidate
        decision = candidate.decision
        return cls(
            mode=candidate.mode,
            max_crops=candidate.max_crops,
            tiling=mirrored(TilingAnswer, candidate.plan.grid),
            width=decision.size.width,
            height=decision.size.height,
            scale_x=decision.scale_x,
            scale_y=decision.scale_y,
            upscaled=decision.upscaled,
            prompt_tokens=candidate.plan.tokens.prompt,
            latency_ms=candidate.latency_ms,
            image_quality=_quality(one),
            within_budget=one.within_budget,
            pareto=one.pareto,
            chosen=one.chosen,
        )


class AdaptDecision(CandidateRow):
    """Describe the chosen candidate and its reason."""

    reason: str
    quality: int | None = Field(description="Encoder quality; null: lossless or unchanged.")


class AdaptAnswer(BaseModel):
    decision: AdaptDecision
    budget: BudgetAnswer
    compared_px: int | None = Field(
        description="Px of the original at which qualities were compared; null: none were."
    )
    profile: ProfileInUseSummary | None = Field(description="What latencies are predicted from.")
    plan: PlanAnswer = Field(description="The plan of the image as decided, under its limit.")
    alternatives: list[CandidateRow] = Field(
        description="Everything that was weighed, what was chosen included, cheapest first."
    )

    @classmethod
    def of(
        cls,
        adaptation: Adaptation,
        quality: int | None,
        wish: Wish,
        known: Predictions,
        now: datetime,
    ) -> AdaptAnswer:
        use = known.in_use(now)
        chosen = adaptation.chosen
        row = CandidateRow.of(chosen)
        plan = chosen.candidate.plan
        return cls(
            decision=AdaptDecision(**dict(row), reason=why(adaptation, wish), quality=quality),
            budget=BudgetAnswer.of(wish),
            compared_px=adaptation.compared_px,
            profile=ProfileInUseSummary.of_use(use) if use else None,
            plan=PlanAnswer.of(plan, known.latency(plan)),
            alternatives=[CandidateRow.of(one) for one in adaptation.table],
        )


def why(adaptation: Adaptation, wish: Wish) -> str:
    """Tell the reason of the decision in a sentence."""
    chosen, table = adaptation.chosen, adaptation.table
    mode, budget = chosen.candidate.mode, wish.budget
    if adaptation.compared_px is None:
        written = "" if mode == "unchanged" else "; it is only written anew"
        return f"as it is, it keeps {budget}{written}"
    within = [one for one in table if one.within_budget]
    told = f"the best of {len(within)} candidates that keep {budget}, of {len(table)} in all"
    made = [one for one in within if one.is_made]
    if made and not any(one.passes(wish.quality_threshold) for one in made):
        told = f"no image that could be made to keep {budget} has an SSIM of "
        told += f"{wish.quality_threshold:g}"
    if mode == "max_crops":
        limit = chosen.candidate.max_crops
        told += f"; leave the image alone and run the model with max_crops={limit}"
    return told


def _quality(one: Judged) -> ImageQualityAnswer | None:
    if one.quality is None:
        return None
    return ImageQualityAnswer(
        ssim=one.quality.ssim,
        psnr_db=one.quality.psnr_db,
        pixels_per_patch=one.candidate.pixels_per_patch,
    )
