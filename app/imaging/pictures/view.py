"""Where the canvas of a plan lies in a drawing: px of the canvas to px that are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.plan.canvas import Canvas
from app.core.plan.geometry import Box, Size
from app.core.plan.plan import CropPlan

_NARROWEST = 1 / 24
"""Shorter side of a stretched canvas as it is drawn, of the longer: else crops would be lines."""


@dataclass(frozen=True, slots=True)
class View:
    """A canvas drawn at size ``drawn`` with its corner at ``(x0, y0)``.

    ``across``, ``down``: so many drawn px a px of the canvas.
    """

    x0: float
    y0: float
    drawn: Size
    across: float
    down: float

    @classmethod
    def of(cls, canvas: Canvas, drawn: Size, x0: float, y0: float) -> View:
        """The canvas filling ``drawn``."""
        return cls(x0, y0, drawn, drawn.width / canvas.width, drawn.height / canvas.height)

    def box(self, box: Box) -> Box:
        """A box of the canvas in drawn px."""
        return Box(
            self.x0 + box.x0 * self.across,
            self.y0 + box.y0 * self.down,
            self.x0 + box.x1 * self.across,
            self.y0 + box.y1 * self.down,
        )


def drawn_aspect(plan: CropPlan) -> float:
    """Width to height of the canvas as it is drawn.

    As the model sees it; but where that loses the image's aspect (Molmo 2), with the aspect of the
    image, unless it is narrower than could be drawn.
    """
    canvas = plan.canvas
    if plan.config.family.preprocessing.resize_law != "stretch":
        return canvas.width / canvas.height
    return min(max(canvas.image.width / canvas.image.height, _NARROWEST), 1 / _NARROWEST)


def drawn_size(plan: CropPlan, side_px: float) -> Size:
    """The canvas as it is drawn, its longer side ``side_px``."""
    aspect = drawn_aspect(plan)
    return Size(
        max(1, round(side_px * min(1.0, aspect))), max(1, round(side_px / max(1.0, aspect)))
    )
