"""The crops of an image as the network is given them, as images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from app.core.plan.plan import CropPlan


def crop_images(image: Image.Image, plan: CropPlan) -> list[Image.Image]:
    """The global crop and then the grid crops in order, RGB, each of the configuration's side.

    They come from the encoder's own preprocessing, whose values are compared with the reference's,
    with its normalisation undone and rounded to 8 bits. Padding is black.

    Args:
        image: upright RGB of the plan's size.
        plan: of the image.
    """
    import numpy as np
    import torch  # takes seconds, and only these images need it

    from app.encoder.network.preprocess import image_to_patches

    law = plan.config.family.preprocessing
    side, patch = plan.config.crop_patches, plan.config.patch_size_px
    with torch.inference_mode():
        patches = image_to_patches(np.asarray(image), plan)  # [crops, side**2, patch**2 * 3]
        values = patches.reshape(-1, side, side, patch, patch, 3).permute(0, 1, 3, 2, 4, 5)
        rgb = values.reshape(-1, side * patch, side * patch, 3)
        rgb = rgb * torch.tensor(law.std) + torch.tensor(law.mean)
        levels = (rgb * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return [Image.fromarray(crop) for crop in levels]
