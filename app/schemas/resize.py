"""Define the answers about a resize, and the lookup table as JSON or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from pydantic import BaseModel, Field

from app.core.control.resizing import DecidedMode, ResizeDecision, Resizing
from app.core.control.table import LutOption, LutRow
from app.core.latency.latency import Latency
from app.core.latency.profile import Profile
from app.core.plan.config import CropConfig
from app.core.plan.plan import CropPlan, plan_with_grid
from app.schemas.answer import mirrored
from app.schemas.latency import LatencyAnswer
from app.schemas.plan import ConfigAnswer, PlanAnswer, TilingAnswer, TokensAnswer
from app.schemas.profile import TableProfile

CSV_MEDIA_TYPE = "text/csv"


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
        return mirrored(
            cls,
            decision,
            tiling=mirrored(TilingAnswer, decision.grid),
            width=decision.size.width,
            height=decision.size.height,
            quality=quality,
        )


class ResizeAnswer(BaseModel):
    decision: DecisionAnswer
    plan: PlanAnswer = Field(description="The plan of the image as decided.")
    alternatives: list[DecisionAnswer] = Field(description="Other ways to as many crops.")

    @classmethod
    def of(
        cls, resizing: Resizing, plan: CropPlan, latency: Latency, quality: int | None
    ) -> ResizeAnswer:
        return cls(
            decision=DecisionAnswer.of(resizing.decision, quality),
            plan=PlanAnswer.of(plan, latency),
            alternatives=[DecisionAnswer.of(option) for option in resizing.alternatives],
        )


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
            tokens=mirrored(TokensAnswer, option.tokens),
            overlap_ratio=option.overlap.overlap_ratio,
            redundancy_ratio=option.overlap.redundancy_ratio,
            latency=LatencyAnswer.of(latency, option.tokens.patch),
            fit=FitAnswer(width=fit.size.width, height=fit.size.height, scale=fit.scale)
            if fit
            else None,
        )


class LutRowAnswer(BaseModel):
    target_crops: int = Field(description="Grid crops.")
    total_crops: int = Field(description="Grid crops and the global crop.")
    best: int = Field(description="Index of the option nearest the asked aspect.")
    options: list[LutOptionAnswer]

    @classmethod
    def of(cls, row: LutRow, latency_of: Callable[[LutOption], Latency]) -> LutRowAnswer:
        return cls(
            target_crops=row.target_crops,
            total_crops=row.target_crops + 1,
            best=row.best,
            options=[LutOptionAnswer.of(option, latency_of(option)) for option in row.options],
        )


class LutAnswer(BaseModel):
    model: str
    config: ConfigAnswer
    profile: TableProfile | None
    rows: list[LutRowAnswer]

    @classmethod
    def of(
        cls,
        config: CropConfig,
        table: tuple[LutRow, ...],
        profile: Profile | None,
        latency_of: Callable[[CropPlan], Latency],
        this_device: bool | None = None,
    ) -> LutAnswer:
        def option_latency(option: LutOption) -> Latency:
            return latency_of(plan_with_grid(option.size, option.grid, config))

        told = mirrored(TableProfile, profile, this_device=this_device) if profile else None
        return cls(
            model=config.family.name,
            config=mirrored(ConfigAnswer, config),
            profile=told,
            rows=[LutRowAnswer.of(row, option_latency) for row in table],
        )


def lut_csv(answer: LutAnswer) -> str:
    """Write a table by RFC 4180 with a line of names first; docs/reference/files.md has the names.

    The conditions of a line have columns of their own, not comments. Every reader opens the file,
    and tables can be put below one another.
    """
    lines = [_line(answer, row, index) for row in answer.rows for index in range(len(row.options))]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=lines[0])  # one crop can always be had
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _line(answer: LutAnswer, row: LutRowAnswer, index: int) -> dict[str, str | float | None]:
    option = row.options[index]
    fit, latency, vision = option.fit, option.latency, option.latency.vision_ms
    left, right = answer.config.overlap_margins
    return {
        "target_crops": row.target_crops,
        "total_crops": row.total_crops,
        "rows": option.rows,
        "cols": option.cols,
        "best": "true" if index == row.best else "false",
        "width_px": option.width,
        "height_px": option.height,
        "patch_tokens": option.tokens.patch,
        "prompt_tokens": option.tokens.prompt,
        "overlap_ratio": option.overlap_ratio,
        "redundancy_ratio": option.redundancy_ratio,
        "vision_p50_ms": vision.p50 if vision else None,
        "vision_p95_ms": vision.p95 if vision else None,
        "latency_source": latency.source,
        "fit_width_px": fit.width if fit else None,
        "fit_height_px": fit.height if fit else None,
        "fit_scale": fit.scale if fit else None,
        "model": answer.model,
        "max_crops": answer.config.max_crops,
        "margin_left_patches": left,
        "margin_right_patches": right,
        "crop_size_px": answer.config.crop_size_px,
        "device": latency.device,
        "dtype": latency.dtype,
        "runtime": latency.runtime,
        "weights": latency.weights,
        "latency_reason": latency.reason,
    }
