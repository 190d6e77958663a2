"""Define the answer with a plan. Its parts are dataclasses: see :mod:`app.schemas.answer`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Annotated

from pydantic import Field

from app.core.control.headroom import height_headroom, width_headroom
from app.core.control.resizing import DecidedMode, least_changes
from app.core.image import ImageFacts
from app.core.latency.latency import Latency
from app.core.latency.status import Preparation
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.overlap import encoder_redundancy
from app.core.plan.plan import CropPlan
from app.core.plan.tiling import candidate_grids, required_scales, select_by_limit
from app.core.plan.tokens import count_tokens
from app.schemas.answer import mirrored
from app.schemas.latency import LatencyAnswer

BoxPx = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ConfigAnswer:
    """The effective configuration."""

    max_crops: int
    overlap_margins: Annotated[
        tuple[int, int], Field(description="Patches, (left and top, right and bottom).")
    ]
    crop_size_px: int
    patch_size_px: int
    window_px: Annotated[int, Field(description="What one more crop adds to a side of the canvas.")]
    margin_px: Annotated[
        int, Field(description="Total margin of a side: the overlap of two neighbours.")
    ]


@dataclass(slots=True)
class ImageAnswer:
    """The image planned for, after orientation. All but the size only for an upload."""

    width: int
    height: int
    format: str | None = None
    bytes: int | None = None
    orientation: Annotated[
        int | None, Field(description="EXIF orientation that was applied; 1: none.")
    ] = None
    sha256: str | None = None
    notes: Annotated[
        tuple[str, ...], Field(description="What of the file the pixels do not show, in words.")
    ] = ()

    @classmethod
    def of(cls, size: Size, facts: ImageFacts | None = None) -> ImageAnswer:
        if facts is None:
            return cls(size.width, size.height)
        return mirrored(cls, facts, width=size.width, height=size.height, bytes=facts.byte_count)


@dataclass(frozen=True, slots=True)
class TilingAnswer:
    rows: int
    cols: int
    crops: Annotated[int, Field(description="Grid crops, as in Molmo's max_crops.")]
    total_crops: Annotated[int, Field(description="Grid crops and the global crop.")]


@dataclass(slots=True)
class CanvasAnswer:
    """The place of the scaled image on the canvas, px."""

    width: int
    height: int
    scaled_width: int
    scaled_height: int
    pad_left: int
    pad_top: int
    scale_x: Annotated[float, Field(description="Canvas px per px of the image.")]
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


@dataclass(frozen=True, slots=True)
class TokensAnswer:
    patch: Annotated[int, Field(description="Image-feature positions in the prompt.")]
    column: int
    start: int
    end: int
    prompt: Annotated[int, Field(description="patch + column + start + end.")]
    computed: Annotated[int, Field(description="Pooled tokens before margins are dropped.")]


@dataclass(frozen=True, slots=True)
class CoverageAnswer:
    """Coverage statistics on the patch grid of the canvas. Definitions: docs/method/overlap.md."""

    total_patches: int
    distinct_patches: int
    overlapped_patches: int
    overlap_ratio: Annotated[
        float, Field(description="Patches in more than one crop per distinct patch.")
    ]
    redundancy_ratio: Annotated[float, Field(description="Mean coverage of a distinct patch.")]
    average_overlap_count: Annotated[
        float, Field(description="The redundancy ratio, by definition.")
    ]
    average_overlapped_count: Annotated[
        float, Field(description="Mean coverage of overlapped patches.")
    ]
    max_overlap_count: int


@dataclass(frozen=True, slots=True)
class OverlapAnswer(CoverageAnswer):
    content: Annotated[
        CoverageAnswer, Field(description="The same over patches that are not all padding.")
    ]
    encoder_redundancy: Annotated[
        float,
        Field(
            description="Patches the encoder runs, global crop included, per distinct content "
            "patch."
        ),
    ]

    @classmethod
    def of_plan(cls, plan: CropPlan) -> OverlapAnswer:
        content = plan.content_overlap()
        return mirrored(
            cls,
            plan.overlap(),
            content=mirrored(CoverageAnswer, content),
            encoder_redundancy=encoder_redundancy(plan.grid, content, plan.config),
        )


@dataclass(slots=True)
class SideHeadroom:
    """Px this side alone can change before the tiling changes; null: it never does."""

    down: int | None
    up: int | None


@dataclass(slots=True)
class HeadroomAnswer:
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


@lru_cache(maxsize=4096)
def _tiling_and_tokens(grid: Grid, config: CropConfig) -> tuple[TilingAnswer, TokensAnswer]:
    """Make the parts that do not depend on the image once."""
    return mirrored(TilingAnswer, grid), mirrored(TokensAnswer, count_tokens(grid, config))


@dataclass(slots=True)
class ControlAnswer:
    """The alternatives for the same image."""

    candidates: list[CandidateAnswer]
    max_crops: list[MaxCropsAnswer]
    sizes: list[SizeAnswer]

    @classmethod
    def of(cls, plan: CropPlan) -> ControlAnswer:
        image, config = plan.image, plan.config
        grids = candidate_grids(config.max_crops)
        scales = required_scales(image, config)
        return cls(
            candidates=[
                CandidateAnswer(*grid, scale if scale < inf else None, grid == plan.grid)
                for grid, scale in zip(grids, scales, strict=True)
            ],
            max_crops=[
                MaxCropsAnswer(limit, *_tiling_and_tokens(grid, config))
                for limit, grid in select_by_limit(scales, config.max_crops).items()
            ],
            sizes=[
                SizeAnswer(grid.crops, *grid, size.width, size.height, mode)
                for grid, size, mode in least_changes(image, config)
            ],
        )


@dataclass(slots=True)
class GlobalCropAnswer:
    """The whole image in one crop: the first of the encoder's batch."""

    canvas: CanvasAnswer
    image_box: BoxPx
    padding_ratio: float

    @classmethod
    def of(cls, plan: CropPlan) -> GlobalCropAnswer:
        canvas = plan.global_canvas
        return cls(
            canvas=mirrored(CanvasAnswer, canvas),
            image_box=(0.0, 0.0, float(plan.image.width), float(plan.image.height)),
            padding_ratio=canvas.padding_ratio(canvas.box),
        )


@dataclass(slots=True)
class PlanAnswer:
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
        decode_ms: float | None = None,
        spent: Preparation | None = None,
    ) -> PlanAnswer:
        """Make the answer; ``facts``, ``decode_ms`` and ``spent`` are those of an upload."""
        tiling, tokens = _tiling_and_tokens(plan.grid, plan.config)
        return cls(
            model=plan.config.family.name,
            config=mirrored(ConfigAnswer, plan.config),
            image=ImageAnswer.of(plan.image, facts),
            tiling=tiling,
            canvas=mirrored(CanvasAnswer, plan.canvas),
            global_crop=GlobalCropAnswer.of(plan),
            crops=[CropAnswer(*crop) for crop in plan.crops()],
            tokens=tokens,
            overlap=OverlapAnswer.of_plan(plan),
            headroom=HeadroomAnswer(
                width=mirrored(SideHeadroom, width_headroom(plan)),
                height=mirrored(SideHeadroom, height_headroom(plan)),
            ),
            control=ControlAnswer.of(plan),
            latency=LatencyAnswer.of(latency, plan.tokens.patch, decode_ms=decode_ms, spent=spent),
        )
