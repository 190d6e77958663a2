"""From an image to normalised patches, by the plan. Every number comes from the plan.

Sources: ``resize_and_pad`` and ``pixels_to_patches`` in allenai/molmo; the Molmo 2 image processor
in transformers. Both resize in float32 on whatever device the result is wanted on: torch's own
uint8 kernel works in fixed point and is off by one level in a fifth of the values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from app.core.canvas import Canvas
from app.core.families import Preprocessing
from app.core.geometry import Grid
from app.core.plan import CropPlan

Pixels = Tensor | npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """The crops of one image, global crop first.

    ``patches`` float32 [C, P, 588]: normalised; pixels by row, then column, then colour (RGB).
    ``content`` float32 [C, P]: the share of a patch's pixels that show the image, not padding.
    """

    patches: Tensor
    content: Tensor


@torch.inference_mode()
def image_to_patches(pixels: Pixels, plan: CropPlan) -> Patches:
    """Resize, pad, normalise and cut ``pixels`` as the plan says, on the device they are on.

    Args:
        pixels: uint8 RGB [H, W, 3], upright.
        plan: made for just this size; any crop side.

    Raises:
        ValueError: pixels that are not uint8 [H, W, 3] of the plan's image size.
    """
    image = as_tensor(pixels, plan).permute(2, 0, 1)
    config = plan.config
    side, window, patch = config.crop_size_px, config.window_px, config.patch_size_px
    law = config.family.preprocessing
    patches, content = [], []
    for canvas, grid in ((plan.global_canvas, Grid(1, 1)), (plan.canvas, plan.grid)):
        placed = _normalise(_place(image, canvas, law), law)
        patches.append(_cut(placed, grid, side, window, patch))
        shown = _cut(_content(canvas, image.device), grid, side, window, patch)
        content.append(shown.mean(dim=-1))
    return Patches(torch.cat(patches), torch.cat(content))


def as_tensor(pixels: Pixels, plan: CropPlan) -> Tensor:
    """``pixels`` as a tensor, uint8 [H, W, 3], not copied where that can be.

    Raises:
        ValueError: they are not of that type, or not of the plan's image size.
    """
    if isinstance(pixels, np.ndarray):
        # Decoders hand out read-only arrays, of which torch would warn.
        pixels = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    wanted = (plan.image.height, plan.image.width, 3)
    if pixels.dtype != torch.uint8 or tuple(pixels.shape) != wanted:
        raise ValueError(
            f"pixels must be uint8 {list(wanted)}, got {pixels.dtype} {list(pixels.shape)}"
        )
    return pixels


def _place(image: Tensor, canvas: Canvas, law: Preprocessing) -> Tensor:
    """The image resized onto the canvas: float32 [3, height, width] in [0, 1], padding 0."""
    letterbox = law.resize_law == "letterbox"
    values = image[None].float()
    # The letterbox scales before it resizes, the stretch rounds back to uint8 before it scales.
    resized = functional.interpolate(
        values / 255 if letterbox else values,
        size=(canvas.scaled_height, canvas.scaled_width),
        mode="bilinear",
        align_corners=False,
        antialias=letterbox,
    )[0]
    if not letterbox:
        return resized.round() / 255
    right = canvas.width - canvas.scaled_width - canvas.pad_left
    bottom = canvas.height - canvas.scaled_height - canvas.pad_top
    return functional.pad(resized.clamp(0, 1), (canvas.pad_left, right, canvas.pad_top, bottom))


def _normalise(values: Tensor, law: Preprocessing) -> Tensor:
    """After padding: what was 0 becomes black as the ViT knows it."""
    mean = torch.tensor(law.mean, device=values.device)[:, None, None]
    std = torch.tensor(law.std, device=values.device)[:, None, None]
    return (values - mean) / std


def _content(canvas: Canvas, device: torch.device) -> Tensor:
    """1 where the canvas shows the image, else 0: float32 [1, height, width]."""
    shown = torch.zeros(1, canvas.height, canvas.width, device=device)
    left, top = canvas.pad_left, canvas.pad_top
    shown[:, top : top + canvas.scaled_height, left : left + canvas.scaled_width] = 1
    return shown


def _cut(canvas: Tensor, grid: Grid, side: int, window: int, patch: int) -> Tensor:
    """[channels, height, width] → [grid crops, P, patch · patch · channels]; crops may overlap."""
    crops = canvas.unfold(1, side, window).unfold(2, side, window)  # [ch, rows, cols, side, side]
    across = side // patch
    cells = crops.reshape(-1, grid.rows, grid.cols, across, patch, across, patch)
    ordered = cells.permute(1, 2, 3, 5, 4, 6, 0)
    return ordered.reshape(grid.crops, across * across, -1)
