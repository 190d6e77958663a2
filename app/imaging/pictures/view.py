"""Where the canvas of a plan lies in a drawing: px of the canvas to px that are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.canvas import Canvas
from app.core.geometry import Box, Size
from app.core.plan import CropPlan

_NARROWEST = 1 / 24
"""Shorter side of a stretched canvas as it is drawn, of the longer: else crops would be lines."""


@dataclass(frozen=True, slots=True)
class View:
    """A canvas drawn with its corner at ``(x0, y0)``, so many drawn px each way a px of it."""

    x0: float
    y0: float
    across: float
    down: float

    def box(self, box: Box) -> Box:
        """A box of the canvas in drawn px."""
        return Box(
            self.x0 + box.x0 * self.across,
            self.y0 + box.y0 * self.down,
            self.x0 + box.x1 * self.across,
            self.y0 + box.y1 * self.down,
        )


def drawn_size(plan: CropPlan, side_px: float) -> Size:
    """The canvas as it is drawn, its longer side ``side_px``.

    As the model sees it; but where that loses the image's aspect (Molmo 2), with the aspect of the
    image, unless it is narrower than could be drawn.
    """
    canvas = plan.canvas
    if plan.config.family.preprocessing.resize_law == "stretch":
        width, height = float(canvas.image.width), float(canvas.image.height)
        least = max(width, height) * _NARROWEST
        width, height = max(width, least), max(height, least)
    else:
        width, height = canvas.width, canvas.height
    scale = side_px / max(width, height)
    return Size(max(1, round(width * scale)), max(1, round(height * scale)))


def view_of(canvas: Canvas, drawn: Size, x0: float, y0: float) -> View:
    """The canvas filling ``drawn`` at ``(x0, y0)``."""
    return View(x0, y0, drawn.width / canvas.width, drawn.height / canvas.height)
