"""Cut an image into normalised patches by its plan, and find the padding of each patch.

Every number comes from the plan. Sources: ``resize_and_pad`` and ``pixels_to_patches`` in
allenai/molmo; the Molmo 2 image processor in transformers. The resize computes in float32 on the
device of the pixels: torch's own uint8 kernel works in fixed point and is off by one level in a
fifth of the values.
"""

from enum import IntEnum
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from app.core.plan.canvas import Canvas
from app.core.plan.config import CropConfig
from app.core.plan.families import Preprocessing
from app.core.plan.geometry import Grid
from app.core.plan.plan import CropPlan

Pixels = Tensor | npt.NDArray[np.uint8]
MAX_CUDA_SHRINKING = 64
"""torch's antialiasing kernel keeps its weights in shared memory, and refuses factors from about 90
on: a 30,000 px strip in the global crop. The CPU resizes such an image."""


@torch.inference_mode()
def image_to_patches(
    pixels: Pixels,
    plan: CropPlan,
    dtype: torch.dtype = torch.float32,
    into: Tensor | None = None,
) -> Tensor:
    """Resize, pad, normalise and cut ``pixels`` by the plan, on the device of the pixels.

    Args:
        pixels: uint8 RGB [H, W, 3], upright.
        plan: the plan of this image size, with any crop side.
        dtype: the dtype of the result; all steps before compute in float32.
        into: contiguous memory for the result on the same device; by default new memory.

    Returns:
        Patches [C, P, 588], global crop first; a patch's values by row, then column, then colour.

    Raises:
        ValueError: the pixels are not uint8 [H, W, 3] of the plan's image size.
    """
    check_pixels(pixels, plan)
    if isinstance(pixels, np.ndarray):
        # Decoders hand out read-only arrays, and torch would warn of them.
        pixels = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    config = plan.config
    law = config.family.preprocessing
    values = _values(pixels, law)
    if into is None:
        into = torch.empty(patches_shape(plan), dtype=dtype, device=pixels.device)
    grids = (plan.global_canvas, Grid(1, 1), into[:1]), (plan.canvas, plan.grid, into[1:])
    for canvas, grid, crops in grids:
        _cut(_normalise(_place(values, canvas, law), law), grid, config, crops)
    return into


def patches_shape(plan: CropPlan) -> tuple[int, int, int]:
    """Return the numbers of crops, of patches in a crop, and of values in a patch."""
    config = plan.config
    values = config.patch_size_px**2 * len(config.family.preprocessing.mean)
    return plan.total_crops, config.crop_patches**2, values


def check_pixels(pixels: Pixels, plan: CropPlan) -> None:
    """Raise ValueError unless the pixels are uint8 [H, W, 3] of the plan's image size."""
    wanted = (plan.image.height, plan.image.width, 3)
    if pixels.dtype not in (torch.uint8, np.uint8) or tuple(pixels.shape) != wanted:
        raise ValueError(
            f"pixels must be uint8 {list(wanted)}, got {pixels.dtype} {list(pixels.shape)}"
        )


def _values(image: Tensor, law: Preprocessing) -> Tensor:
    """Convert uint8 [H, W, 3] → float32 [1, 3, H, W] for the resize, once for both canvases.

    The letterbox scales to [0, 1] before the resize, the stretch only after rounding.
    """
    values = image.permute(2, 0, 1)[None].float()
    return values.div_(255) if law.resize_law == "letterbox" else values


def _place(values: Tensor, canvas: Canvas, law: Preprocessing) -> Tensor:
    """Resize the image onto the canvas: float32 [3, height, width] in [0, 1], padding 0."""
    if law.resize_law == "stretch":
        return _resize(values, canvas, antialias=False).round_().div_(255)
    resized = _resize(values, canvas, antialias=True).clamp_(0, 1)
    right = canvas.width - canvas.scaled_width - canvas.pad_left
    bottom = canvas.height - canvas.scaled_height - canvas.pad_top
    return functional.pad(resized, (canvas.pad_left, right, canvas.pad_top, bottom))


def _resize(values: Tensor, canvas: Canvas, *, antialias: bool) -> Tensor:
    device = values.device
    shrinking = max(1 / canvas.scale_x, 1 / canvas.scale_y)
    if antialias and device.type == "cuda" and shrinking > MAX_CUDA_SHRINKING:
        values = values.cpu()
    resized = functional.interpolate(
        values,
        size=(canvas.scaled_height, canvas.scaled_width),
        mode="bilinear",
        align_corners=False,
        antialias=antialias,
    )[0]
    return resized.to(device)


def _normalise(values: Tensor, law: Preprocessing) -> Tensor:
    """Normalise in place, after padding: a padding of 0 becomes the black of the ViT."""
    mean, std = _mean_and_std(law, values.device)
    return values.sub_(mean).div_(std)


@lru_cache(maxsize=16)
def _mean_and_std(law: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cache mean and deviation, each [3, 1, 1]: copies from pageable memory wait for the GPU."""
    with torch.inference_mode(False):
        mean = torch.tensor(law.mean, device=device)[:, None, None]
        return mean, torch.tensor(law.std, device=device)[:, None, None]


def _cut(canvas: Tensor, grid: Grid, config: CropConfig, into: Tensor) -> None:
    """Cut [channels, height, width] → [grid crops, P, patch · patch · channels].

    Crops may overlap. The one copy also rounds to the dtype of ``into``.
    """
    side, window, across = config.crop_size_px, config.window_px, config.crop_patches
    patch, channels = config.patch_size_px, len(canvas)
    crops = canvas.unfold(1, side, window).unfold(2, side, window)  # [ch, rows, cols, side, side]
    cells = crops.view(channels, grid.rows, grid.cols, across, patch, across, patch)
    ordered = cells.permute(1, 2, 3, 5, 4, 6, 0)
    shape = (grid.rows, grid.cols, across, across, patch, patch, channels)
    into.view(shape).copy_(ordered)


MaskOrder = Literal["released", "aligned"]
"""``aligned``: every patch gets its own padding state. ``released``: every crop gets the states of
the next crop, as in the released code. The mask of the released code lacks the row of the global
crop, and is filled up at the end. The weights were trained so, and ``released`` is the default."""


class PaddingState(IntEnum):
    """Name the padding of a patch. ALL and PARTIAL are rows of the padding embedding, plus 1."""

    NONE = 0
    ALL = 1
    PARTIAL = 2


def padding_state(content: Tensor, mask_order: MaskOrder) -> Tensor:
    """Return the padding state of every patch: int64 [C, P] of :class:`PaddingState`.

    ``content`` [C, P] is the result of :func:`content_share`. In the released order the last crop
    gets -1. The reference reads -1 as partly padded.
    """
    if mask_order == "released":
        content = torch.cat([content[1:], torch.full_like(content[:1], -1)])
    state = torch.full_like(content, PaddingState.NONE, dtype=torch.int64)
    state[content < 1] = PaddingState.PARTIAL
    state[content == 0] = PaddingState.ALL
    return state


def content_share(plan: CropPlan) -> Tensor:
    """Return each patch's share of image pixels, against padding: float32 [C, P] on the CPU.

    The global crop comes first. The plan alone gives the shares, without a canvas on the device.
    """
    of_global = _content_of_grid(plan.global_canvas, Grid(1, 1), plan.config)
    return torch.cat([of_global, _content_of_grid(plan.canvas, plan.grid, plan.config)])


def _content_of_grid(canvas: Canvas, grid: Grid, config: CropConfig) -> Tensor:
    """Multiply the image pixels of a patch's height and width: the image is a rectangle."""
    high = _shown(grid.rows, canvas.pad_top, canvas.scaled_height, config)
    wide = _shown(grid.cols, canvas.pad_left, canvas.scaled_width, config)
    shown = high[:, None, :, None] * wide[None, :, None, :]  # [rows, cols, patches, patches]
    return (shown / config.patch_size_px**2).view(grid.crops, -1)


def _shown(crops: int, first_px: int, length_px: int, config: CropConfig) -> Tensor:
    """Count the image pixels of each patch along one axis: int64 [crops, patches]."""
    patch = config.patch_size_px
    crop = torch.arange(crops)[:, None] * config.window_px
    start = crop + torch.arange(config.crop_patches) * patch
    end = (start + patch).clamp_max(first_px + length_px)
    return (end - start.clamp_min(first_px)).clamp_min(0)
