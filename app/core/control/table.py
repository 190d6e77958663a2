"""Make the lookup table from a number of crops to sizes, tokens and overlap."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.control.fitting import (
    canvas_grids,
    fitting_sizes,
    nearest_grid,
    sizes_within_canvas,
)
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.overlap import Overlap, grid_overlap
from app.core.plan.tokens import TokenCounts, count_tokens


@dataclass(frozen=True, slots=True)
class LutFit:
    """Hold a size of the asked aspect that gets the grid; ``scale`` is None without an image."""

    size: Size
    scale: float | None


@dataclass(frozen=True, slots=True)
class LutOption:
    """Hold one factorisation; an image of ``size``, the canvas, gets this very grid."""

    grid: Grid
    size: Size
    tokens: TokenCounts
    overlap: Overlap
    fit: LutFit | None


@dataclass(frozen=True, slots=True)
class LutRow:
    """Hold all ways to ``target_crops`` grid crops; ``best`` indexes the nearest to the aspect."""

    target_crops: int
    best: int
    options: tuple[LutOption, ...]


def lookup_table(
    config: CropConfig, *, image: Size | None = None, aspect: Size | None = None
) -> tuple[LutRow, ...]:
    """Make a row for every count of grid crops up to ``max_crops`` that has a canvas.

    With ``image`` the fits are sizes of that image: the largest not above it, else the smallest
    upscale. With ``aspect`` they are the largest sizes of that aspect inside the canvas, else the
    smallest that get the grid. With neither there are no fits, and the best option is the most
    nearly square.
    """
    fits = _fits(config, image, aspect)
    wanted = image or aspect or Size(1, 1)
    rows = []
    for crops, canvases in canvas_grids(config).items():
        rows.append(
            LutRow(
                target_crops=crops,
                best=list(canvases).index(nearest_grid(crops, wanted, config)),
                options=tuple(
                    LutOption(
                        grid=grid,
                        size=canvas,
                        tokens=count_tokens(grid, config),
                        overlap=grid_overlap(grid, config),
                        fit=fits.get(grid),
                    )
                    for grid, canvas in canvases.items()
                ),
            )
        )
    return tuple(rows)


def _fits(config: CropConfig, image: Size | None, aspect: Size | None) -> Mapping[Grid, LutFit]:
    if image is not None:
        longest = max(image.width, image.height)
        return {
            grid: LutFit(size, max(size.width, size.height) / longest)
            for grid, size in fitting_sizes(image, config).items()
        }
    if aspect is not None:
        sizes = sizes_within_canvas(aspect, config)
        return {grid: LutFit(size, None) for grid, size in sizes.items()}
    return {}
