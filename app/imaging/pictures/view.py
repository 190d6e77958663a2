"""Map the canvas of a plan to a drawing, and divide the canvas into the parts that are marked."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from PIL import Image

from app.core.plan.canvas import Canvas
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Box, Size
from app.core.plan.overlap import axis_coverage
from app.core.plan.plan import CropPlan
from app.core.plan.tokens import axis_windows
from app.imaging.write.resample import resize

_NARROWEST = 1 / 24
"""A stretched canvas is drawn no narrower; its crops would be lines."""
_PLAIN = (226, 229, 233)
"""A plan without a picture has this ground."""
_BLACK = (0, 0, 0)
"""Molmo pads with black, before the normalisation."""


@dataclass(frozen=True, slots=True)
class View:
    """Draw a canvas at size ``drawn``, with its corner at ``(x0, y0)``.

    ``across`` and ``down`` are the drawn px for each px of the canvas.
    """

    x0: float
    y0: float
    drawn: Size
    across: float
    down: float

    def box(self, box: Box) -> Box:
        """Map a box of the canvas to drawn px."""
        return Box(
            self.x0 + box.x0 * self.across,
            self.y0 + box.y0 * self.down,
            self.x0 + box.x1 * self.across,
            self.y0 + box.y1 * self.down,
        )


def drawn_aspect(plan: CropPlan) -> float:
    """Return width by height of the canvas in a drawing.

    A stretched canvas (Molmo 2) has lost the image's aspect, so it is drawn with that aspect, but
    no narrower than 1 to 24.
    """
    canvas = plan.canvas
    if plan.config.family.preprocessing.resize_law != "stretch":
        return canvas.width / canvas.height
    return min(max(canvas.image.width / canvas.image.height, _NARROWEST), 1 / _NARROWEST)


def drawn_size(plan: CropPlan, side_px: float) -> Size:
    """Return the size of the canvas in a drawing; its longer side is ``side_px``."""
    aspect = drawn_aspect(plan)
    return Size(
        max(1, round(side_px * min(1.0, aspect))), max(1, round(side_px / max(1.0, aspect)))
    )


def cut_out(image: Image.Image | None, canvas: Canvas, box: Box, drawn: Size) -> Image.Image:
    """Cut a part out of a canvas, at a size. Padding is black.

    Args:
        image: all of the planned picture, at any size; None for a plain ground.
        canvas: the canvas of the plan.
        box: the part, in px of the canvas.
        drawn: the size in px.
    """
    source, visible = canvas.to_image(box), box.intersect(canvas.content)
    if source is None or visible is None:
        return Image.new("RGB", (drawn.width, drawn.height), _BLACK)
    across, down = drawn.width / box.width, drawn.height / box.height
    x0, x1 = _span((visible.x0 - box.x0) * across, (visible.x1 - box.x0) * across, drawn.width)
    y0, y1 = _span((visible.y0 - box.y0) * down, (visible.y1 - box.y0) * down, drawn.height)
    content = _scaled(image, canvas.image, source, Size(x1 - x0, y1 - y0))
    if visible == box:
        return content
    made = Image.new("RGB", (drawn.width, drawn.height), _BLACK)
    made.paste(content, (x0, y0))
    return made


def _scaled(image: Image.Image | None, original: Size, part: Box, size: Size) -> Image.Image:
    """Resize a part of the picture, in px of its original; plain without a picture."""
    if image is None:
        return Image.new("RGB", (size.width, size.height), _PLAIN)
    across, down = image.width / original.width, image.height / original.height
    source = Box(
        part.x0 * across,
        part.y0 * down,
        min(part.x1 * across, image.width),
        min(part.y1 * down, image.height),
    )
    if image.size == (size.width, size.height) and source == Box(0, 0, *image.size):
        return image
    return resize(image, size, source, "lanczos")


def _span(start: float, end: float, limit: int) -> tuple[int, int]:
    """Round to whole px, at least one."""
    first = min(round(start), limit - 1)
    return first, min(limit, max(first + 1, round(end)))


@dataclass(frozen=True, slots=True)
class Zone:
    """Mark a rectangle of the canvas, in px, with each patch in ``count`` grid crops."""

    box: Box
    count: int


def coverage_zones(plan: CropPlan) -> tuple[Zone, ...]:
    """Divide the canvas into rows and columns of rectangles with equal coverage."""
    patch = plan.config.patch_size_px
    rows = _runs(axis_coverage(plan.grid.rows, plan.config))
    cols = _runs(axis_coverage(plan.grid.cols, plan.config))
    return tuple(
        Zone(Box(x0 * patch, y0 * patch, x1 * patch, y1 * patch), down * across)
        for y0, y1, down in rows
        for x0, x1, across in cols
    )


def _runs(counts: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return start, end and value of each run of equal values."""
    runs, start = [], 0
    for count, equal in groupby(counts):
        end = start + sum(1 for _ in equal)
        runs.append((start, end, count))
        start = end
    return runs


def padding_of(canvas: Canvas) -> list[Box]:
    """Return the canvas without the image, as boxes that do not overlap."""
    return canvas.box.around(canvas.content)


@dataclass(frozen=True, slots=True)
class PromptPatches:
    """Delimit the patches of a crop in the prompt, along one axis: ``first`` to before ``last``.

    ``cuts`` are the patches that begin a token, without the first.
    """

    first: int
    last: int
    cuts: tuple[int, ...]


@lru_cache(maxsize=16)
def prompt_patches(count: int, config: CropConfig) -> tuple[PromptPatches, ...]:
    """Return the patches that reach the prompt, for each of ``count`` crops along an axis."""
    tokens: list[dict[int, int]] = [{} for _ in range(count)]
    for token, window in enumerate(axis_windows(count, config)):
        for patch in window:
            if patch is not None:
                tokens[patch[0]][patch[1]] = token
    made = []
    for of in tokens:
        first, last = min(of), max(of) + 1
        cuts = tuple(at for at in range(first + 1, last) if of[at] != of[at - 1])
        made.append(PromptPatches(first, last, cuts))
    return tuple(made)
