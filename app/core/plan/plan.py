"""Make the plan: everything that follows from an image's size and a configuration.

Everything passes through the plan. The plan is made once and then frozen.
"""

from dataclasses import dataclass
from typing import NamedTuple

from app.core.plan.canvas import Canvas, place_on_canvases
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Grid, Size
from app.core.plan.overlap import Overlap, content_overlap, encoder_redundancy, grid_overlap
from app.core.plan.tiling import select_tiling
from app.core.plan.tokens import TokenCounts, count_tokens


class Crop(NamedTuple):
    """Describe one grid crop.

    ``index`` counts grid crops from 0 in row order. The encoder's batch holds the global crop
    first, so this crop is at ``index + 1`` there.

    Attributes:
        canvas_box: the crop on the canvas, in px.
        image_box: :meth:`Canvas.to_image` of it, in px of the image; None if all is padding.
        padding_ratio: :meth:`Canvas.padding_ratio` of it.
    """

    index: int  # type: ignore[assignment]  # in the place of tuple.index
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
        crops: list[Crop] = []
        for row, (y0, y1, shown_y, top, bottom) in enumerate(rows):
            for col, (x0, x1, shown_x, left, right) in enumerate(cols):
                shown = shown_x * shown_y
                crops.append(
                    Crop(
                        index=len(crops),
                        row=row,
                        col=col,
                        canvas_box=Box(x0, y0, x1, y1),
                        image_box=Box(left, top, right, bottom) if shown else None,
                        padding_ratio=1.0 - shown / config.crop_size_px**2,
                    )
                )
        return tuple(crops)

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


def _spans(
    count: int, pad_px: int, scaled_px: int, image_px: int, config: CropConfig
) -> list[tuple[float, float, int, float, float]]:
    """List the spans of ``count`` crops along one axis of the canvas.

    A span has start and end on the canvas, the px with content, and start and end on the image.
    The last two mean nothing without content. The product comes before the division, so that the
    image's own edges come back exactly.
    """
    spans = []
    for start in range(0, count * config.window_px, config.window_px):
        end = start + config.crop_size_px
        first, last = max(start - pad_px, 0), min(end - pad_px, scaled_px)
        shown_px = max(last - first, 0)
        on_image = first * image_px / scaled_px, last * image_px / scaled_px
        spans.append((float(start), float(end), shown_px, *on_image))
    return spans
