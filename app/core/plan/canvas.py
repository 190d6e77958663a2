"""Compute the canvas that is cut into crops, and the place of the image on it.

Source: ``resize_and_pad`` (letterbox) in allenai/molmo; Molmo 2 stretches to the canvas.
"""

from dataclasses import dataclass

from app.core.errors import CollapsedImage
from app.core.plan.config import CropConfig
from app.core.plan.float32 import round_all_to_float32
from app.core.plan.geometry import Box, Grid, Size


@dataclass(frozen=True, slots=True)
class Canvas:
    """Hold a canvas and the scaled image on it, all in px. Odd padding is larger at the end."""

    width: int
    height: int
    scaled_width: int
    scaled_height: int
    pad_left: int
    pad_top: int
    image: Size

    @property
    def scale_x(self) -> float:
        """Return the canvas px per px of the original, as the resize applies it."""
        return self.scaled_width / self.image.width

    @property
    def scale_y(self) -> float:
        return self.scaled_height / self.image.height

    @property
    def content(self) -> Box:
        """Return the part of the canvas that shows the image."""
        return Box(
            self.pad_left,
            self.pad_top,
            self.pad_left + self.scaled_width,
            self.pad_top + self.scaled_height,
        )

    @property
    def box(self) -> Box:
        """Return all of the canvas."""
        return Box(0, 0, self.width, self.height)

    def to_image(self, box: Box) -> Box | None:
        """Convert a canvas box to px of the original, without padding; None if all is padding.

        The product comes before the division, so that the image's own edges come back exactly.
        """
        visible = box.intersect(self.content)
        if visible is None:
            return None
        width, height = self.image.width, self.image.height
        return Box(
            (visible.x0 - self.pad_left) * width / self.scaled_width,
            (visible.y0 - self.pad_top) * height / self.scaled_height,
            (visible.x1 - self.pad_left) * width / self.scaled_width,
            (visible.y1 - self.pad_top) * height / self.scaled_height,
        )

    def padding_ratio(self, box: Box) -> float:
        """Return the share of a box that shows no image."""
        visible = box.intersect(self.content)
        return 1.0 if visible is None else 1.0 - visible.area / box.area


def canvas_size(grid: Grid, config: CropConfig) -> Size:
    """Return the canvas of a grid. An image of this very size gets this very grid, unscaled."""
    return Size(
        width=grid.cols * config.window_px + config.margin_px,
        height=grid.rows * config.window_px + config.margin_px,
    )


def place_on_canvases(image: Size, grid: Grid, config: CropConfig) -> tuple[Canvas, Canvas]:
    """Place the image on the canvas of its grid, and in the global crop.

    Raises:
        CollapsedImage: as :func:`place_image` does.
    """
    side = Size(config.crop_size_px, config.crop_size_px)
    return place_image(image, canvas_size(grid, config), config), place_image(image, side, config)


def place_image(image: Size, on: Size, config: CropConfig) -> Canvas:
    """Place ``image`` on a canvas of size ``on`` by the family's resize law.

    Raises:
        CollapsedImage: the letterbox would scale a side to 0 px; the reference fails there too.
    """
    if config.family.preprocessing.resize_law == "stretch":
        return Canvas(on.width, on.height, on.width, on.height, 0, 0, image)
    scale = min(round_all_to_float32((on.width / image.width, on.height / image.height)))
    scaled = round_all_to_float32((image.width * scale, image.height * scale))
    scaled_width, scaled_height = map(int, scaled)
    if scaled_width < 1 or scaled_height < 1:
        raise CollapsedImage(
            f"{image} scaled onto a canvas of {on} would be {scaled_width}x{scaled_height} px; "
            "each side must be at least 1 px",
            limit=1,
            actual=min(scaled_width, scaled_height),
            canvas=str(on),
        )
    return Canvas(
        width=on.width,
        height=on.height,
        scaled_width=scaled_width,
        scaled_height=scaled_height,
        pad_left=(on.width - scaled_width) // 2,
        pad_top=(on.height - scaled_height) // 2,
        image=image,
    )
