"""The reference vectors, and tiny families of both generations to go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from app.core.plan.families import Family, family_named
from app.encoder.device import DtypeChoice
from app.encoder.encoder import Encoder
from app.encoder.loading import load_encoder

VECTORS = Path(__file__).parents[1] / "vectors"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Vectors:
    """A tiny backbone: its family, its weights by published name, and what goes in and out."""

    family: Family
    weights: dict[str, Tensor]
    data: dict[str, Tensor]


def read_vectors(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(VECTORS / name, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _split(tensors: dict[str, Tensor], family: Family) -> Vectors:
    weights = {k.removeprefix("weights/"): v for k, v in tensors.items() if k.startswith("weights")}
    data = {k: v for k, v in tensors.items() if not k.startswith("weights")}
    return Vectors(family, weights, data)


def molmo1_vectors() -> Vectors:
    tensors, dims = read_vectors("molmo1_backbone_tiny.safetensors")
    real, layers = family_named("molmo-7b-d-0924"), int(dims["layers"])
    family = replace(
        real,
        crop_size_px=int(dims["size"]),
        overlap_margins=(2, 2),
        vit=replace(
            real.vit,
            width=int(dims["emb"]),
            heads=int(dims["heads"]),
            mlp_width=int(dims["mlp"]),
            blocks_stored=layers,
            feature_layers=(layers - 2, layers - 9),
        ),
        connector=replace(
            real.connector,
            projector_hidden=int(dims["mlp_hidden"]) // 2,
            llm_width=int(dims["d_model"]),
        ),
    )
    return _split(tensors, family)


def molmo2_vectors() -> Vectors:
    tensors, dims = read_vectors("molmo2_backbone_tiny.safetensors")
    real = family_named("molmo2-4b")
    family = replace(
        real,
        crop_size_px=int(dims["size"]),
        overlap_margins=(2, 2),
        default_max_crops=int(dims["max_crops"]),
        vit=replace(
            real.vit,
            width=int(dims["emb"]),
            heads=int(dims["heads"]),
            mlp_width=int(dims["mlp"]),
            blocks_stored=int(dims["layers"]),
            feature_layers=(5, 2),
        ),
        connector=replace(
            real.connector,
            projector_hidden=int(dims["intermediate"]),
            llm_width=int(dims["text"]),
        ),
    )
    return _split(tensors, family)


def write_checkpoint(folder: Path, weights: dict[str, Tensor]) -> Path:
    save_file(weights, folder / "model.safetensors")
    return folder


def load_tiny(
    family: Family, checkpoint: Path | None = None, *, dtype: DtypeChoice = "float32", seed: int = 0
) -> Encoder:
    """Load an encoder on the CPU with the threads that torch has now."""
    return load_encoder(
        family,
        checkpoint=checkpoint,
        device="cpu",
        dtype=dtype,
        threads=torch.get_num_threads(),
        seed=seed,
    )


def pattern_image(height: int, width: int, k: int) -> npt.NDArray[np.uint8]:
    """The image of the reference vectors, uint8 RGB [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 7 * x + 3 * y + 11 * k, x**2 // 97 + 5 * y + k, (x ^ y) + 29 * k
    return (np.stack([red, green, blue], axis=-1) % 256).astype(np.uint8)


def relative_error(actual: Tensor, wanted: Tensor) -> float:
    return float((actual - wanted).norm() / wanted.norm())
