"""Read a reference backbone from one file: weights, input and output.

The layout is that of ``tests/vectors/*_backbone_tiny.safetensors``: ``weights/`` and the names of a
released checkpoint; ``in/patches``; Molmo 1: ``in/mask`` (share of content), ``out/vit_layer_-2``
and ``-9``, ``out/features`` for all windows; Molmo 2: ``in/image_token_pooling``,
``out/vit_features``, ``out/features``. The metadata names dimensions other than the family's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from app.core.plan.families import Family, family_named
from app.encoder.network.backbone import VisionBackbone
from app.encoder.network.checkpoint import load_checkpoint
from app.encoder.network.preprocess import padding_state
from app.encoder.runtimes.fidelity import Reference

DEFAULT_MODELS = {1: "molmo-7b-d-0924", 2: "molmo2-4b"}


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """Hold the weights by published name, and the reference on the CPU in float32."""

    family: Family
    weights: Mapping[str, Tensor]
    reference: Reference

    def backbone(self, device: torch.device, dtype: torch.dtype) -> VisionBackbone:
        """Load the backbone as strictly as a released checkpoint.

        Raises:
            CheckpointError: a tensor is missing, surplus or misshaped.
        """
        from safetensors.torch import save_file

        with TemporaryDirectory() as folder:
            save_file(dict(self.weights), Path(folder) / "model.safetensors")
            return load_checkpoint(Path(folder), self.family, device, dtype)


def read_reference(path: Path, model: str | None = None) -> ReferenceFile:
    """Read a file of the family ``model``; the metadata may change its dimensions.

    Raises:
        KeyError: the file lacks one of the tensors.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no dict
        metadata = file.metadata() or {}
    generation = 2 if "in/image_token_pooling" in tensors else 1
    family = family_of(metadata, family_named(model or DEFAULT_MODELS[generation]))
    weights = {
        name.removeprefix("weights/"): tensor
        for name, tensor in tensors.items()
        if name.startswith("weights/")
    }
    return ReferenceFile(family, weights, _reference(tensors, generation, family))


def family_of(metadata: Mapping[str, str], base: Family) -> Family:
    """Give ``base`` the dimensions of the metadata."""

    def given(key: str, otherwise: int) -> int:
        return int(metadata.get(key, otherwise))

    vit, connector, one = base.vit, base.connector, base.generation == 1
    stored = given("layers", vit.blocks_stored)
    # Molmo 1 reads hidden[-2] and hidden[-9]; Molmo 2 names the blocks.
    layers = (stored - 2, stored - 9) if one else vit.feature_layers
    hidden = given("mlp_hidden", 2 * connector.projector_hidden) // 2
    if "feature_layers" in metadata:
        layers = tuple(json.loads(metadata["feature_layers"]))
    return replace(
        base,
        crop_size_px=given("size", base.crop_size_px),
        vit=replace(
            vit,
            width=given("emb", vit.width),
            heads=given("heads", vit.heads),
            mlp_width=given("mlp", vit.mlp_width),
            blocks_stored=stored,
            feature_layers=layers,
        ),
        connector=replace(
            connector,
            projector_hidden=hidden if one else given("intermediate", connector.projector_hidden),
            llm_width=given("d_model" if one else "text", connector.llm_width),
        ),
    )


def _reference(tensors: Mapping[str, Tensor], generation: int, family: Family) -> Reference:
    patches, tokens = tensors["in/patches"], tensors["out/features"]
    if generation == 2:
        index = tensors["in/image_token_pooling"].long()
        state = torch.zeros(patches.shape[:2], dtype=torch.int64)
        return Reference(patches, index, state, tensors["out/vit_features"], tokens)
    index = every_window(len(patches), patches.shape[1], family.connector.pooling)
    state = padding_state(tensors["in/mask"], "aligned")
    layers = [tensors[f"out/vit_layer_{layer}"][:, 1:] for layer in (-2, -9)]
    return Reference(patches, index, state, torch.cat(layers, -1), tokens.flatten(0, 1))


def every_window(crops: int, patches: int, pooling: int) -> Tensor:
    """List all windows of all crops: int64 [windows, pooling²]."""
    side = round(patches**0.5)
    flat = torch.arange(crops * patches)
    cells = flat.view(crops, side // pooling, pooling, side // pooling, pooling)
    return cells.transpose(2, 3).reshape(-1, pooling**2)
