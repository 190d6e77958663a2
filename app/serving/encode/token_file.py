"""Write vision tokens as a safetensors file. The module imports torch and is imported late."""

from __future__ import annotations

import json

from safetensors.torch import save

from app.serving.encode.encoding import EncodedImage

MEDIA_TYPE = "application/octet-stream"
"""Model hubs serve safetensors as this type; the format has no registered one."""

LENGTH_BYTES = 8


def token_file(encoded: EncodedImage) -> bytes:
    """Write ``tokens`` [N, L] and ``positions`` int64 [N], with their origin as metadata.

    N is the number of patch tokens, and L the width of the language model. Equal tokens of equal
    images make equal bytes.
    """
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
    return with_sorted_header(
        save(
            {"tokens": image.tokens, "positions": image.positions},
            {name: str(value) for name, value in metadata.items()},
        )
    )


def with_sorted_header(file: bytes) -> bytes:
    """Sort the header of a safetensors file; the library writes metadata in a random order.

    A file has the header's length in 8 bytes, the header as JSON, spaces up to a multiple of 8, and
    the tensors. The places of tensors count from the end of the header.
    """
    start = LENGTH_BYTES + int.from_bytes(file[:LENGTH_BYTES], "little")
    fields = json.loads(file[LENGTH_BYTES:start])
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    header = text.encode()
    header += b" " * (-len(header) % LENGTH_BYTES)
    length = len(header).to_bytes(LENGTH_BYTES, "little")
    return b"".join([length, header, memoryview(file)[start:]])
