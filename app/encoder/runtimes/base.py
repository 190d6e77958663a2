"""The interface of a runtime, the plain runtime, and pieces that several runtimes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from app.encoder.network.backbone import VisionBackbone, VisionTransformer


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Crops to try a runtime on, in the dtype and on the device of the weights.

    ``patches`` [C, P, 588]; ``pool_index`` int64 [N, W] and ``padding_state`` int64 [C, P] as
    :meth:`VisionBackbone.connect` reads them. :mod:`app.encoder.sample` makes it.
    """

    patches: Tensor
    pool_index: Tensor
    padding_state: Tensor


class Runtime(Protocol):
    """Runs the network on one device. Calls come from one thread at a time, in inference mode.

    A result may lie in a buffer of the runtime's own: it holds until the next call of that method.
    """

    @property
    def name(self) -> str:
        """How the network is run, as profiles and answers call it."""

    def encode_patches(self, patches: Tensor) -> Tensor:
        """As :meth:`VisionBackbone.encode_patches`: [C, P, 588] → features [C, P, F]."""

    def input_for(self, total_crops: int) -> Tensor:
        """Give memory for patches [C, P, 588] that ``encode_patches`` takes without a copy.

        In the dtype and on the device of the weights; it may be a buffer of the runtime's own,
        which holds until the next pass.
        """

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """As :meth:`VisionBackbone.connect`: features [C, P, F] → vision tokens [N, L]."""


class FreshInput:
    """Gives fresh memory for patches, where a runtime has no buffer of its own."""

    def __init__(self, backbone: VisionBackbone) -> None:
        vit = backbone.vit
        self._like = vit.positional_embedding.new_empty(0)
        self._patches = len(vit.positional_embedding) - backbone.class_token
        self._values = vit.patch_embedding.in_features

    def __call__(self, total_crops: int) -> Tensor:
        return self._like.new_empty(total_crops, self._patches, self._values)


class Eager:
    """Run the network operation by operation, as its definition in ``backbone`` says."""

    name = "eager"

    def __init__(self, backbone: VisionBackbone) -> None:
        self.encode_patches = backbone.encode_patches
        self.connect = backbone.connect
        self.input_for = FreshInput(backbone)


Maker = Callable[[VisionBackbone, Sample], Runtime]
"""Makes a runtime of a backbone, which it may take over, so that the backbone is of no other use.

The sample is what the runtime will be checked on: it may be used to find ranges, or to choose among
ways to run the same network.
"""


def without_sample(make: Callable[[VisionBackbone], Runtime]) -> Maker:
    """The maker of a runtime that is made of the weights alone."""
    return lambda backbone, _: make(backbone)


def even_parts(patches: Tensor, features: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of both, part by part, of at most ``most`` crops each and as even as can be."""
    parts = -(-len(patches) // most)
    return zip(patches.tensor_split(parts), features.tensor_split(parts), strict=True)


def keep_features(vit: VisionTransformer, index: int, x: Tensor, into: Tensor) -> None:
    """Copy a block's output [C, P, D] to its place in the features [C, P, F], if it has one."""
    if index in vit.feature_layers:
        at = vit.feature_layers.index(index) * x.shape[-1]
        into[..., at : at + x.shape[-1]] = x
