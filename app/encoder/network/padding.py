"""Which patches are padding, and in which order the released code says so."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import torch
from torch import Tensor

from app.core.plan.canvas import Canvas
from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid
from app.core.plan.plan import CropPlan

MaskOrder = Literal["released", "aligned"]
"""``aligned``: a patch's padding state is its own. ``released``: as in the released code, whose
mask lacks the global crop's row and is filled up at the end instead, so that every crop is told
the state of the next one. The weights were trained with that, so it is the default."""


class PaddingState(IntEnum):
    """How much of a patch is padding; ALL and PARTIAL are rows of the padding embedding, plus 1."""

    NONE = 0
    ALL = 1
    PARTIAL = 2


def padding_state(content: Tensor, mask_order: MaskOrder) -> Tensor:
    """The state of every patch that the backbone is told: int64 [C, P] of :class:`PaddingState`.

    ``content`` [C, P] is the share of a patch's pixels that show the image, global crop first.
    In the released order the last crop gets -1, which the reference reads as partly padded.
    """
    if mask_order == "released":
        content = torch.cat([content[1:], torch.full_like(content[:1], -1)])
    state = torch.full_like(content, PaddingState.NONE, dtype=torch.int64)
    state[content < 1] = PaddingState.PARTIAL
    state[content == 0] = PaddingState.ALL
    return state


def content_share(plan: CropPlan) -> Tensor:
    """The share of each patch's pixels that show the image, not padding: float32 [C, P] on the CPU.

    Global crop first. It follows from the plan alone, so the device is spared a canvas of ones.
    """
    of_global = _content_of_grid(plan.global_canvas, Grid(1, 1), plan.config)
    return torch.cat([of_global, _content_of_grid(plan.canvas, plan.grid, plan.config)])


def _content_of_grid(canvas: Canvas, grid: Grid, config: CropConfig) -> Tensor:
    """The image is a rectangle, so a patch shows (px of its height) x (px of its width)."""
    high = _shown(grid.rows, canvas.pad_top, canvas.scaled_height, config)
    wide = _shown(grid.cols, canvas.pad_left, canvas.scaled_width, config)
    shown = high[:, None, :, None] * wide[None, :, None, :]  # [rows, cols, patches, patches]
    return (shown / config.patch_size_px**2).view(grid.crops, -1)


def _shown(crops: int, first_px: int, length_px: int, config: CropConfig) -> Tensor:
    """Along one axis, px of each patch that show the image: int64 [crops, patches]."""
    patch = config.patch_size_px
    crop = torch.arange(crops)[:, None] * config.window_px
    start = crop + torch.arange(config.crop_patches) * patch
    end = (start + patch).clamp_max(first_px + length_px)
    return (end - start.clamp_min(first_px)).clamp_min(0)
