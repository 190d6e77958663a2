"""The crops that a runtime is tried on when an encoder is loaded: a photo's, and noise.

Noise alone misleads: a range that holds it need not hold what a photo leads to, and a photo's even
surfaces make rows that are nearly equal, which noise never has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from app.core.plan.config import CropConfig, make_config
from app.core.plan.families import Family
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.core.plan.tokens import axis_tokens
from app.encoder.encoder import PreparedCrops, join, token_layout
from app.encoder.network.padding import PaddingState, content_share, padding_state
from app.encoder.network.preprocess import image_to_patches
from app.encoder.runtimes.base import Sample
from app.encoder.synthetic import profile_plans, synthetic_crops

PHOTO = Path(__file__).with_name("photo.jpg")
"""docs/samples/README.md says what it shows and whose it is."""
PHOTO_GRID_CROPS = 6
"""Two rows of three: with the global crop 7, an odd number."""


def check_sample(family: Family, device: torch.device, dtype: torch.dtype) -> Sample:
    """Make a photo's crops and one of noise; on a CPU the photo's global crop alone.

    There a crop takes seconds, a runtime does the same for every number of crops, and a check must
    not double the start.
    """
    photo = photo_crops(family, device, dtype)
    if device.type == "cpu":
        return sample_of(_global_alone(photo, make_config(family)))
    return sample_of(join([photo, noise_crops(family, device, dtype)]))


def sample_of(crops: PreparedCrops) -> Sample:
    """Leave out where the tokens go."""
    return Sample(crops.patches, crops.pool_index, crops.padding_state)


@torch.inference_mode()
def photo_crops(family: Family, device: torch.device, dtype: torch.dtype) -> PreparedCrops:
    """Cut the shipped photo as the released code would."""
    from PIL import Image  # late: whoever brings crops of their own does without the package

    with Image.open(PHOTO) as photo:
        pixels = torch.from_numpy(np.array(photo.convert("RGB")))
    config = make_config(family, max_crops=PHOTO_GRID_CROPS)
    plan = make_plan(Size(width=pixels.shape[1], height=pixels.shape[0]), config)
    pool_index, positions = token_layout(plan.grid, config, device)
    return PreparedCrops(
        patches=image_to_patches(pixels.to(device), plan, dtype),
        pool_index=pool_index,
        padding_state=padding_state(content_share(plan), "released").to(device),
        positions=positions,
    )


@torch.inference_mode()
def noise_crops(
    family: Family, device: torch.device, dtype: torch.dtype, total_crops: int = 1
) -> PreparedCrops:
    """Make noise, padded in every way there is."""
    (plan,) = profile_plans(make_config(family), [total_crops])
    crops = synthetic_crops(plan, device, dtype)
    # The states of a letterboxed crop: some rows of padding, one on the edge, the rest image.
    states = torch.full_like(crops.padding_state, PaddingState.NONE)
    states[:, :48], states[:, 48:72] = PaddingState.ALL, PaddingState.PARTIAL
    return replace(crops, padding_state=states)


def _global_alone(crops: PreparedCrops, config: CropConfig) -> PreparedCrops:
    """Keep the global crop, which comes first in patches and in tokens."""
    tokens = axis_tokens(1, config) ** 2
    return PreparedCrops(
        patches=crops.patches[:1],
        pool_index=crops.pool_index[:tokens],
        padding_state=crops.padding_state[:1],
        positions=crops.positions[:tokens],
    )
