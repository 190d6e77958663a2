"""What a profile measures: for each number of crops one grid, and noise in its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt

import torch
from torch import Tensor

from app.core.plan.config import CropConfig
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tokens import axis_tokens, count_tokens
from app.core.plan.work import connector_flops, patch_values, vit_flops
from app.encoder.encoder import PreparedCrops, token_layout


@dataclass(frozen=True, slots=True)
class ProfilePlan:
    """What is run for one number of crops. ``rows = cols = 0`` is the global crop alone."""

    total_crops: int
    rows: int
    cols: int
    patch_tokens: int
    config: CropConfig

    @property
    def flops(self) -> int:
        family = self.config.family
        return vit_flops(family, self.total_crops) + connector_flops(family, self.patch_tokens)


def squarest_grid(crops: int) -> Grid:
    """The grid of just that many crops that is nearest a square, never taller than wide."""
    rows = next(rows for rows in range(isqrt(crops), 0, -1) if crops % rows == 0)
    return Grid(rows, crops // rows)


def profile_plans(config: CropConfig, counts: Sequence[int]) -> tuple[ProfilePlan, ...]:
    """The plans of these total crops (from 1, the global crop counted), smallest first."""
    return tuple(_profile_plan(config, count) for count in sorted(set(counts)))


def _profile_plan(config: CropConfig, total_crops: int) -> ProfilePlan:
    if total_crops < 1:
        raise ValueError(f"total crops start at 1, got {total_crops}")
    if total_crops == 1:
        return ProfilePlan(1, 0, 0, axis_tokens(1, config) ** 2, config)
    grid = squarest_grid(total_crops - 1)
    return ProfilePlan(total_crops, grid.rows, grid.cols, count_tokens(grid, config).patch, config)


@torch.inference_mode()
def synthetic_crops(
    plan: ProfilePlan, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> PreparedCrops:
    """Normal noise in the shape of a plan: as normalised pixels are, where zeros might run faster.

    The global crop comes first in patches and tokens, so it alone is the start of any layout.
    """
    config = plan.config
    generator = torch.Generator(device).manual_seed(seed)
    shape = (plan.total_crops, config.crop_patches**2, patch_values(config.family))
    noise = torch.randn(shape, generator=generator, device=device)
    grid = Grid(max(plan.rows, 1), max(plan.cols, 1))
    pool_index, positions = token_layout(grid, config, device)
    return PreparedCrops(
        patches=noise.to(dtype),
        pool_index=pool_index[: plan.patch_tokens],
        padding_state=torch.zeros(shape[:2], dtype=torch.int64, device=device),
        positions=positions[: plan.patch_tokens],
    )


def synthetic_image(plan: ProfilePlan, seed: int = 0) -> tuple[Tensor, CropPlan]:
    """Noise of just the canvas's size, uint8 [H, W, 3], with the plan that cuts it so.

    Raises:
        ValueError: the global crop alone is no image's plan.
    """
    if plan.total_crops == 1:
        raise ValueError("no image is the global crop alone")
    config = replace(plan.config, max_crops=max(plan.config.max_crops, plan.total_crops - 1))
    size = Size(
        width=plan.cols * config.window_px + config.margin_px,
        height=plan.rows * config.window_px + config.margin_px,
    )
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(size.height, size.width, 3, generator=generator) * 50 + 128
    return pixels.clamp(0, 255).to(torch.uint8), make_plan(size, config)
