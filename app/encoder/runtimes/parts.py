"""Pieces that several runtimes are made of."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from app.encoder.network.backbone import VisionTransformer


def even_parts(patches: Tensor, features: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of both, part by part, of at most ``most`` crops each and as even as can be."""
    parts = -(-len(patches) // most)
    return zip(patches.tensor_split(parts), features.tensor_split(parts), strict=True)


def keep_features(vit: VisionTransformer, index: int, x: Tensor, into: Tensor) -> None:
    """Copy a block's output [C, P, D] to its place in the features [C, P, F], if it has one."""
    if index in vit.feature_layers:
        at = vit.feature_layers.index(index) * x.shape[-1]
        into[..., at : at + x.shape[-1]] = x
