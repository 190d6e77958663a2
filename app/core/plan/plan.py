"""Make the plan: everything that follows from an image's size and a configuration.

Everything passes through the plan. The plan is made once and then frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from app.core.plan.canvas import Canvas, place_on_canvases
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.overlap import Overlap, content_overlap, encoder_redundancy, grid_overlap
from app.core.plan.tiling import select_tiling
from app.core.plan.tokens import TokenCounts, count_tokens


@dataclass(frozen=True, slots=True)
class Crop:
    """Describe one grid crop.

    ``index`` counts grid crops from 0 in row order. The encoder's batch holds the global crop
    first, so this crop is at ``index + 1`` there.

    Attributes:
        canvas_box: the crop on the canvas, in px.
        image_box: :meth:`Canvas.to_image` of it, in px of the image; None if all is padding.
        padding_ratio: :meth:`Canvas.padding_ratio` of it.
    """

    index: int
    row: int
    col: int
    canvas_box: Box
    image_box: Box | None
    padding_ratio: float


@dataclass(frozen=True, slots=True)
class CropPlan:
    """Hold the crops and tokens that Molmo makes of one image size under one configuration."""

    config: CropConfig
    image: Size
    grid: Grid
    canvas: Canvas
    global_canvas: Canvas
    tokens: TokenCounts

    @property
    def total_crops(self) -> int:
        return self.grid.total_crops

    def crops(self) -> tuple[Crop, ...]:
        """List the grid crops in the order the encoder runs them, without the global crop.

        The rows have their share of a crop's boxes, the columns the other. Each crop is a product.
        """
        canvas, image, config = self.canvas, self.image, self.config
        rows = _spans(self.grid.rows, canvas.pad_top, canvas.scaled_height, image.height, config)
        cols = _spans(self.grid.cols, canvas.pad_left, canvas.scaled_width, image.width, config)
        area = config.crop_size_px**2
        return tuple(
            [
                Crop(
                    index=row * len(cols) + col,
                    row=row,
                    col=col,
                    canvas_box=Box(x.start, y.start, x.end, y.end),
                    image_box=Box(x.image_start, y.image_start, x.image_end, y.image_end)
                    if x.shown_px and y.shown_px
                    else None,
                    padding_ratio=1.0 - x.shown_px * y.shown_px / area,
                )
                for row, y in enumerate(rows)
                for col, x in enumerate(cols)
            ]
        )

    def overlap(self) -> Overlap:
        """Compute the overlap over the canvas."""
        return grid_overlap(self.grid, self.config)

    def content_overlap(self) -> Overlap:
        """Compute the overlap over the patches that show some of the image."""
        return content_overlap(self.grid, self.canvas, self.config)

    def encoder_redundancy(self) -> float:
        """Divide the patches that the encoder runs, global crop included, by those of content."""
        return encoder_redundancy(self.grid, self.content_overlap(), self.config)


def make_plan(image: Size, config: CropConfig) -> CropPlan:
    """Plan ``image`` under ``config``.

    Raises:
        CollapsedImage: a side would be scaled to 0 px, on the canvas or in the global crop.
    """
    return plan_with_grid(image, select_tiling(image, config), config)


def plan_with_grid(image: Size, grid: Grid, config: CropConfig) -> CropPlan:
    """Plan ``image`` like :func:`make_plan`, if its grid is already known."""
    canvas, global_canvas = place_on_canvases(image, grid, config)
    return CropPlan(
        config=config,
        image=image,
        grid=grid,
        canvas=canvas,
        global_canvas=global_canvas,
        tokens=count_tokens(grid, config),
    )


class _Span(NamedTuple):
    """Hold one axis of a crop: its px on the canvas, the px with content, and those of the image.

    The px of the image mean nothing if ``shown_px`` is 0.
    """

    start: float
    end: float
    shown_px: int
    image_start: float
    image_end: float


def _spans(
    count: int, pad_px: int, scaled_px: int, image_px: int, config: CropConfig
) -> list[_Span]:
    """List the spans of ``count`` crops along one axis of the canvas.

    The product comes before the division, so that the image's own edges come back exactly.
    """
    spans = []
    for crop in range(count):
        start = crop * config.window_px
        end = start + config.crop_size_px
        first, last = max(start - pad_px, 0), min(end - pad_px, scaled_px)
        spans.append(
            _Span(
                start=float(start),
                end=float(end),
                shown_px=max(last - first, 0),
                image_start=first * image_px / scaled_px,
                image_end=last * image_px / scaled_px,
            )
        )
    return spans
