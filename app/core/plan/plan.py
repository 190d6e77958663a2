"""The plan: everything that follows from an image's size and a configuration.

The waist of the project. A plan is made once, frozen, and read by everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.plan.canvas import Canvas, place_on_canvases
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.overlap import Overlap, content_overlap, encoder_redundancy, grid_overlap
from app.core.plan.tiling import select_tiling
from app.core.plan.tokens import TokenCounts, count_tokens


@dataclass(frozen=True, slots=True)
class Crop:
    """One grid crop.

    ``index`` counts grid crops from 0 in row order. The encoder's batch holds the global crop
    first, so this crop is at ``index + 1`` there.
    """

    index: int
    row: int
    col: int
    canvas_box: Box
    image_box: Box | None
    padding_ratio: float


@dataclass(frozen=True, slots=True)
class CropPlan:
    """What Molmo does with one image size under one configuration."""

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
        """The grid crops in the order the encoder runs them, without the global crop."""
        return tuple(
            self._crop(row, col) for row in range(self.grid.rows) for col in range(self.grid.cols)
        )

    def _crop(self, row: int, col: int) -> Crop:
        window, side = self.config.window_px, self.config.crop_size_px
        box = Box(col * window, row * window, col * window + side, row * window + side)
        return Crop(
            index=row * self.grid.cols + col,
            row=row,
            col=col,
            canvas_box=box,
            image_box=self.canvas.to_image(box),
            padding_ratio=self.canvas.padding_ratio(box),
        )

    def overlap(self) -> Overlap:
        """Overlap over the canvas."""
        return grid_overlap(self.grid, self.config)

    def content_overlap(self) -> Overlap:
        """Overlap over the patches that show some of the image."""
        return content_overlap(self.grid, self.canvas, self.config)

    def encoder_redundancy(self) -> float:
        """Patches the encoder runs, global crop included, per distinct patch of content."""
        return encoder_redundancy(self.grid, self.content_overlap(), self.config)


def make_plan(image: Size, config: CropConfig) -> CropPlan:
    """Plan ``image`` under ``config``.

    Raises:
        CollapsedImage: a side would be scaled to 0 px, on the canvas or in the global crop.
    """
    return plan_with_grid(image, select_tiling(image, config), config)


def plan_with_grid(image: Size, grid: Grid, config: CropConfig) -> CropPlan:
    """The plan of ``image`` once its grid is known; :func:`make_plan` without the choice."""
    canvas, global_canvas = place_on_canvases(image, grid, config)
    return CropPlan(
        config=config,
        image=image,
        grid=grid,
        canvas=canvas,
        global_canvas=global_canvas,
        tokens=count_tokens(grid, config),
    )
