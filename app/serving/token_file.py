"""Vision tokens as a safetensors file. Imports torch, which is there where tokens are."""

from __future__ import annotations

from safetensors.torch import save

from app.serving.encoding import EncodedImage

MEDIA_TYPE = "application/octet-stream"
"""safetensors has no registered type; this is what model hubs serve it as."""


def token_file(encoded: EncodedImage) -> bytes:
    """``tokens`` [N, L] and ``positions`` int64 [N], with what they were made from as metadata."""
    plan, image = encoded.plan, encoded.image
    config = plan.config
    metadata = {
        "model": config.family.name,
        "weights": encoded.weights,
        "dtype": encoded.dtype,
        "device": encoded.device,
        "tiling": str(plan.grid),
        "crops": plan.grid.crops,
        "total_crops": plan.total_crops,
        "prompt_tokens": plan.tokens.prompt,
        "patch_tokens": plan.tokens.patch,
        "image_width": plan.image.width,
        "image_height": plan.image.height,
        "max_crops": config.max_crops,
        "overlap_margins": ",".join(str(margin) for margin in config.overlap_margins),
        "crop_size_px": config.crop_size_px,
    }
    return save(
        {"tokens": image.tokens, "positions": image.positions},
        {name: str(value) for name, value in metadata.items()},
    )
