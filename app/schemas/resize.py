"""A resize decision and the lookup table as answers."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.core.latency import Latency
from app.core.lut import LutOption, LutRow
from app.core.sizing import DecidedMode, ResizeDecision
from app.schemas.latency import LatencyAnswer, ProfileSummary
from app.schemas.plan import ConfigAnswer, PlanAnswer, TilingAnswer, TokensAnswer


class DecisionAnswer(BaseModel):
    mode: DecidedMode
    tiling: TilingAnswer
    width: int
    height: int
    scale_x: float = Field(description="Output px per px of the image's content.")
    scale_y: float
    upscaled: bool
    quality: int | None = Field(
        None, description="Encoder quality; null: lossless, unchanged, or only an alternative."
    )

    @classmethod
    def of(cls, decision: ResizeDecision, quality: int | None = None) -> DecisionAnswer:
        return cls(
            mode=decision.mode,
            tiling=TilingAnswer.of(decision.grid),
            width=decision.size.width,
            height=decision.size.height,
            scale_x=decision.scale_x,
            scale_y=decision.scale_y,
            upscaled=decision.upscaled,
            quality=quality,
        )


class ResizeAnswer(BaseModel):
    decision: DecisionAnswer
    plan: PlanAnswer = Field(description="The plan of the image as decided.")
    alternatives: list[DecisionAnswer] = Field(description="Other ways to as many crops.")


class FitAnswer(BaseModel):
    width: int
    height: int
    scale: float | None = Field(description="Of the image asked about; null: only an aspect was.")


class LutOptionAnswer(BaseModel):
    rows: int
    cols: int
    width: int = Field(description="The canvas: an image of this size gets this tiling, unscaled.")
    height: int
    tokens: TokensAnswer
    overlap_ratio: float
    redundancy_ratio: float
    latency: LatencyAnswer
    fit: FitAnswer | None = Field(description="A size of the asked aspect that gets this tiling.")

    @classmethod
    def of(cls, option: LutOption, latency: Latency) -> LutOptionAnswer:
        fit = option.fit
        return cls(
            rows=option.grid.rows,
            cols=option.grid.cols,
            width=option.size.width,
            height=option.size.height,
            tokens=TokensAnswer.of(option.tokens),
            overlap_ratio=option.overlap.overlap_ratio,
            redundancy_ratio=option.overlap.redundancy_ratio,
            latency=LatencyAnswer.of(latency, option.tokens.patch),
            fit=FitAnswer(width=fit.size.width, height=fit.size.height, scale=fit.scale)
            if fit
            else None,
        )


class LutRowAnswer(BaseModel):
    target_crops: int
    best: int = Field(description="Index of the option nearest the asked aspect.")
    options: list[LutOptionAnswer]

    @classmethod
    def of(cls, row: LutRow, latencies: list[Latency]) -> LutRowAnswer:
        return cls(
            target_crops=row.target_crops,
            best=row.best,
            options=[
                LutOptionAnswer.of(option, latency)
                for option, latency in zip(row.options, latencies, strict=True)
            ],
        )


class LutAnswer(BaseModel):
    model: str
    config: ConfigAnswer
    profile: ProfileSummary | None
    rows: list[LutRowAnswer]
