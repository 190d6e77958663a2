"""Make inputs without an upload: noise for each number of crops, a check sample, random weights.

The check sample is a photo's crops and noise, as noise alone misleads. A range for noise may be too
small for a photo, and a photo's even surfaces make nearly equal rows, unlike noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import Family
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tokens import axis_tokens, count_tokens
from app.core.plan.work import connector_flops, patch_values, vit_flops
from app.encoder.encoder import PreparedCrops, cut_crops, join, token_layout
from app.encoder.network.backbone import VisionBackbone, meta_backbone
from app.encoder.network.preprocess import (
    PaddingState,
    content_share,
    padding_state,
)
from app.encoder.runtimes.base import Sample


@dataclass(frozen=True, slots=True)
class ProfilePlan:
    """Hold the grid of one number of crops. ``rows = cols = 0`` is the global crop alone."""

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
    """Return the grid of exactly ``crops`` crops nearest a square, never taller than wide."""
    rows = next(rows for rows in range(isqrt(crops), 0, -1) if crops % rows == 0)
    return Grid(rows, crops // rows)


def profile_plans(config: CropConfig, counts: Sequence[int]) -> tuple[ProfilePlan, ...]:
    """Make the plans of these total crops (from 1, with the global crop), smallest first."""
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
    """Make normal noise in the shape of a plan, like normalised pixels; zeros might run faster.

    The global crop comes first in patches and tokens, so the start of any layout fits it alone.
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


def synthetic_image(plan: ProfilePlan) -> tuple[Tensor, CropPlan]:
    """Make noise in the size of the canvas, uint8 [H, W, 3], and the plan of its crops.

    Raises:
        ValueError: no image has the global crop alone.
    """
    if plan.total_crops == 1:
        raise ValueError("no image is the global crop alone")
    config = replace(plan.config, max_crops=max(plan.config.max_crops, plan.total_crops - 1))
    size = Size(
        width=plan.cols * config.window_px + config.margin_px,
        height=plan.rows * config.window_px + config.margin_px,
    )
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(size.height, size.width, 3, generator=generator) * 50 + 128
    return pixels.clamp(0, 255).to(torch.uint8), make_plan(size, config)


PHOTO = Path(__file__).with_name("photo.jpg")
"""docs/samples/README.md describes the photo and its source."""
PHOTO_GRID_CROPS = 6
"""Two rows of three crops: 7 with the global crop, an odd number."""


def check_sample(family: Family, device: torch.device, dtype: torch.dtype) -> Sample:
    """Make a photo's crops and a crop of noise; on a CPU the photo's global crop alone.

    A crop takes seconds on a CPU, and a check must not double the start. A runtime on a CPU does
    the same for every number of crops.
    """
    photo = photo_crops(family, device, dtype)
    if device.type == "cpu":
        tokens = axis_tokens(1, make_config(family)) ** 2  # those of the global crop come first
        return Sample(photo.patches[:1], photo.pool_index[:tokens], photo.padding_state[:1])
    return join([photo, noise_crops(family, device, dtype)])


@torch.inference_mode()
def photo_crops(family: Family, device: torch.device, dtype: torch.dtype) -> PreparedCrops:
    """Cut the shipped photo as the released code does."""
    from PIL import Image  # late: a measurement without a check needs no Pillow

    with Image.open(PHOTO) as photo:
        pixels = torch.from_numpy(np.array(photo.convert("RGB")))
    config = make_config(family, max_crops=PHOTO_GRID_CROPS)
    plan = make_plan(Size(width=pixels.shape[1], height=pixels.shape[0]), config)
    state = padding_state(content_share(plan), "released").to(device)
    return cut_crops(pixels.to(device), state, plan, dtype)


@torch.inference_mode()
def noise_crops(
    family: Family, device: torch.device, dtype: torch.dtype, total_crops: int = 1
) -> PreparedCrops:
    """Make noise with every state of padding."""
    (plan,) = profile_plans(make_config(family), [total_crops])
    crops = synthetic_crops(plan, device, dtype)
    # A letterboxed crop has some rows of padding, one row on the edge, and rows of image.
    states = torch.full_like(crops.padding_state, PaddingState.NONE)
    states[:, :48], states[:, 48:72] = PaddingState.ALL, PaddingState.PARTIAL
    return replace(crops, padding_state=states)


POOL = 4_194_301
"""The number of drawn normal values; a prime, so that no width of a weight divides it."""
SMALL_STD = 0.1
"""The deviation of biases, and of the weights of norms around 1. With 0 and 1, as in a fresh
network, a runtime without them, or with two of them exchanged, would still agree."""


def random_backbone(
    family: Family, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> VisionBackbone:
    """Make the backbone with random weights on ``device`` in ``dtype``; same seed, same weights.

    The latency is that of real weights, and the features mean nothing. A weight has variance
    1 / inputs, so a block adds about one unit of variance to the residual stream, and the sum stays
    far inside bfloat16. All values come from one pool of ``POOL`` values, read on from weight to
    weight, again and again: fresh values for all weights would take seconds on a CPU.
    """
    backbone = meta_backbone(family).to(dtype).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    pool = torch.randn(POOL, generator=generator, device=device).to(dtype)
    at = 0
    with torch.inference_mode():
        for name, parameter in backbone.named_parameters():
            values, of_norm = parameter.view(-1), name.endswith("norm.weight")
            if of_norm or name.endswith(".bias"):
                at = _fill_from_pool(values, pool, at, SMALL_STD)
                values += int(of_norm)
            else:  # a weight [outputs, inputs], or an embedding [.., width]
                at = _fill_from_pool(values, pool, at, parameter.shape[-1] ** -0.5)
    return backbone


def _fill_from_pool(values: Tensor, pool: Tensor, at: int, std: float) -> int:
    """Fill ``values`` from the pool at ``at``, again and again; return the next ``at``."""
    first = 0
    while first < len(values):
        some = values[first : first + POOL - at]
        torch.mul(pool[at : at + len(some)], std, out=some)
        first += len(some)
        at = (at + len(some)) % POOL
    return at
