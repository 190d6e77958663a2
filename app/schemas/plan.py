"""A plan as an answer."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Annotated

from pydantic import BaseModel, Field

from app.core.control.alternatives import alternatives, max_crops_table, size_table
from app.core.control.headroom import height_headroom, width_headroom
from app.core.control.resizing import DecidedMode
from app.core.image import ImageFacts
from app.core.latency.latency import Latency
from app.core.plan.geometry import Grid, Size
from app.core.plan.overlap import encoder_redundancy
from app.core.plan.plan import Crop, CropPlan
from app.schemas.answer import Mirror
from app.schemas.latency import LatencyAnswer, StagesMs

BoxPx = tuple[float, float, float, float]


class ConfigAnswer(Mirror):
    """The effective configuration."""

    max_crops: int
    overlap_margins: tuple[int, int] = Field(
        description="Patches, (left and top, right and bottom)."
    )
    crop_size_px: int
    patch_size_px: int
    window_px: int = Field(description="What one more crop adds to a side of the canvas.")
    margin_px: int = Field(description="Total margin of a side: the overlap of two neighbours.")


class ImageAnswer(BaseModel):
    """The image planned for, after orientation. All but the size only for an upload."""

    width: int
    height: int
    format: str | None = None
    bytes: int | None = None
    orientation: int | None = Field(None, description="EXIF orientation that was applied; 1: none.")
    sha256: str | None = None
    notes: list[str] = Field([], description="What of the file the pixels do not show, in words.")

    @classmethod
    def of(cls, size: Size, facts: ImageFacts | None = None) -> ImageAnswer:
        if facts is None:
            return cls(width=size.width, height=size.height)
        return cls(
            width=size.width,
            height=size.height,
            format=facts.format,
            bytes=facts.byte_count,
            orientation=facts.orientation,
            sha256=facts.sha256,
            notes=list(facts.notes),
        )


class TilingAnswer(Mirror):
    rows: int
    cols: int
    crops: int = Field(description="Grid crops, as in Molmo's max_crops.")
    total_crops: int = Field(description="Grid crops and the global crop.")


class CanvasAnswer(Mirror):
    """The place of the scaled image on the canvas, px."""

    width: int
    height: int
    scaled_width: int
    scaled_height: int
    pad_left: int
    pad_top: int
    scale_x: float = Field(description="Canvas px per px of the image.")
    scale_y: float


@dataclass(slots=True)
class CropAnswer:
    """A grid crop. In the encoder's batch it is at ``index + 1``, behind the global crop."""

    index: int
    row: int
    col: int
    canvas_box: Annotated[BoxPx, Field(description="[x0, y0, x1, y1) on the canvas, px.")]
    image_box: Annotated[
        BoxPx | None, Field(description="The same on the image; null if all is padding.")
    ]
    padding_ratio: float

    @classmethod
    def of(cls, crop: Crop) -> CropAnswer:
        return cls(
            crop.index, crop.row, crop.col, crop.canvas_box, crop.image_box, crop.padding_ratio
        )


class TokensAnswer(Mirror):
    patch: int = Field(description="Image-feature positions in the prompt.")
    column: int
    start: int
    end: int
    prompt: int = Field(description="patch + column + start + end.")
    computed: int = Field(description="Pooled tokens before margins are dropped.")


class CoverageAnswer(Mirror):
    """Coverage statistics on the patch grid of the canvas. Definitions: docs/method/overlap.md."""

    total_patches: int
    distinct_patches: int
    overlapped_patches: int
    overlap_ratio: float = Field(description="Patches in more than one crop per distinct patch.")
    redundancy_ratio: float = Field(description="Mean coverage of a distinct patch.")
    average_overlap_count: float = Field(description="The redundancy ratio, by definition.")
    average_overlapped_count: float = Field(description="Mean coverage of overlapped patches.")
    max_overlap_count: int


class OverlapAnswer(CoverageAnswer):
    content: CoverageAnswer = Field(description="The same over patches that are not all padding.")
    encoder_redundancy: float = Field(
        description="Patches the encoder runs, global crop included, per distinct content patch."
    )

    @classmethod
    def of_plan(cls, plan: CropPlan) -> OverlapAnswer:
        content = plan.content_overlap()
        return cls(
            **dict(CoverageAnswer.of(plan.overlap())),
            content=CoverageAnswer.of(content),
            encoder_redundancy=encoder_redundancy(plan.grid, content, plan.config),
        )


class SideHeadroom(Mirror):
    """Px this side alone can change before the tiling changes; null: it never does."""

    down: int | None
    up: int | None


class HeadroomAnswer(BaseModel):
    width: SideHeadroom
    height: SideHeadroom


@dataclass(slots=True)
class CandidateAnswer:
    rows: int
    cols: int
    required_scale: Annotated[
        float | None,
        Field(
            description="float32, as the tiling compares it; "
            "null: infinite (both sides at the margin)."
        ),
    ]
    selected: bool


@dataclass(slots=True)
class MaxCropsAnswer:
    max_crops: int
    tiling: TilingAnswer
    tokens: TokensAnswer


@dataclass(slots=True)
class SizeAnswer:
    crops: int
    rows: int
    cols: int
    width: int
    height: int
    reached_by: DecidedMode


class ControlAnswer(BaseModel):
    """The alternatives for the same image."""

    candidates: list[CandidateAnswer]
    max_crops: list[MaxCropsAnswer]
    sizes: list[SizeAnswer]

    @classmethod
    def of(cls, plan: CropPlan) -> ControlAnswer:
        return cls(
            candidates=[
                CandidateAnswer(grid.rows, grid.cols, scale if isfinite(scale) else None, selected)
                for grid, scale, selected in alternatives(plan)
            ],
            max_crops=_max_crops(plan),
            sizes=[
                SizeAnswer(
                    best.grid.crops,
                    best.grid.rows,
                    best.grid.cols,
                    best.size.width,
                    best.size.height,
                    best.mode,
                )
                for best in size_table(plan)
            ],
        )


def _max_crops(plan: CropPlan) -> list[MaxCropsAnswer]:
    """List the rows; limits with the same tiling share its answers."""
    shown: dict[Grid, tuple[TilingAnswer, TokensAnswer]] = {}
    answers = []
    for limit, grid, tokens in max_crops_table(plan):
        if grid not in shown:
            shown[grid] = TilingAnswer.of(grid), TokensAnswer.of(tokens)
        answers.append(MaxCropsAnswer(limit, *shown[grid]))
    return answers


class GlobalCropAnswer(BaseModel):
    """The whole image in one crop: the first of the encoder's batch."""

    canvas: CanvasAnswer
    image_box: BoxPx
    padding_ratio: float

    @classmethod
    def of(cls, plan: CropPlan) -> GlobalCropAnswer:
        canvas = plan.global_canvas
        return cls(
            canvas=CanvasAnswer.of(canvas),
            image_box=(0, 0, plan.image.width, plan.image.height),
            padding_ratio=canvas.padding_ratio(canvas.box),
        )


class PlanAnswer(BaseModel):
    """Everything that follows from an image and a configuration."""

    model: str
    config: ConfigAnswer
    image: ImageAnswer
    tiling: TilingAnswer
    canvas: CanvasAnswer
    global_crop: GlobalCropAnswer
    crops: list[CropAnswer]
    tokens: TokensAnswer
    overlap: OverlapAnswer
    headroom: HeadroomAnswer
    control: ControlAnswer
    latency: LatencyAnswer

    @classmethod
    def of(
        cls,
        plan: CropPlan,
        latency: Latency,
        *,
        facts: ImageFacts | None = None,
        stages_ms: StagesMs | None = None,
    ) -> PlanAnswer:
        return cls(
            model=plan.config.family.name,
            config=ConfigAnswer.of(plan.config),
            image=ImageAnswer.of(plan.image, facts),
            tiling=TilingAnswer.of(plan.grid),
            canvas=CanvasAnswer.of(plan.canvas),
            global_crop=GlobalCropAnswer.of(plan),
            crops=[CropAnswer.of(crop) for crop in plan.crops()],
            tokens=TokensAnswer.of(plan.tokens),
            overlap=OverlapAnswer.of_plan(plan),
            headroom=HeadroomAnswer(
                width=SideHeadroom.of(width_headroom(plan)),
                height=SideHeadroom.of(height_headroom(plan)),
            ),
            control=ControlAnswer.of(plan),
            latency=LatencyAnswer.of(latency, plan.tokens.patch, stages_ms),
        )
