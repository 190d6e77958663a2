"""Define the interface of a runtime, the plain runtime, and pieces shared by several runtimes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from app.encoder.network.backbone import Block, VisionBackbone


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Hold crops for the trial of a runtime, in the dtype and on the device of the weights.

    ``patches`` [C, P, 588]; ``pool_index`` int64 [N, W] and ``padding_state`` int64 [C, P] as in
    :meth:`VisionBackbone.connect`. :func:`app.encoder.synthetic.check_sample` makes a sample.
    """

    patches: Tensor
    pool_index: Tensor
    padding_state: Tensor


class Runtime(Protocol):
    """Run the network on one device. Calls come from one thread at a time, in inference mode.

    A result may lie in a buffer of the runtime, and then lasts until the next call of the method.
    """

    @property
    def name(self) -> str:
        """Name the runtime in profiles and answers."""

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Encode as :meth:`VisionBackbone.encode_patches`: [C, P, 588] → features [C, P, F]."""

    def input_for(self, total_crops: int) -> Tensor:
        """Give memory for patches [C, P, 588]; ``encode_patches`` takes the memory without a copy.

        Dtype and device are those of the weights. The memory may be a buffer of the runtime, and
        then lasts until the next pass.
        """

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """Connect as :meth:`VisionBackbone.connect`: features [C, P, F] → vision tokens [N, L]."""


class FreshInput:
    """Give fresh memory for patches to a runtime without a buffer."""

    def __init__(self, backbone: VisionBackbone) -> None:
        vit = backbone.vit
        self._like = vit.positional_embedding.new_empty(0)
        self._patches = len(vit.positional_embedding) - backbone.class_token
        self._values = vit.patch_embedding.in_features

    def __call__(self, total_crops: int) -> Tensor:
        return self._like.new_empty(total_crops, self._patches, self._values)


class Eager:
    """Run the network operation by operation, as written in ``backbone``."""

    name = "eager"

    def __init__(self, backbone: VisionBackbone) -> None:
        self.encode_patches = backbone.encode_patches
        self.connect = backbone.connect
        self.input_for = FreshInput(backbone)


Maker = Callable[[VisionBackbone, Sample], Runtime]
"""Makes a runtime from a backbone, and may take the backbone over.

A maker may use the sample to find ranges, or to choose among ways to run the same network. The
runtime is checked on the same sample later.
"""


def without_sample(make: Callable[[VisionBackbone], Runtime]) -> Maker:
    """Turn a function of the weights alone into a :data:`Maker`."""
    return lambda backbone, _: make(backbone)


def even_parts(patches: Tensor, features: Tensor, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Split patches and features into views of at most ``most`` crops, as evenly as possible."""
    parts = -(-len(patches) // most)
    return zip(patches.tensor_split(parts), features.tensor_split(parts), strict=True)


def run_blocks(
    backbone: VisionBackbone,
    patches: Tensor,
    into: Tensor,
    run: Callable[[Block, Tensor], Tensor],
) -> None:
    """Run the vision transformer block by block, with the sum over the blocks in float32.

    Args:
        patches: [C, P, 588] in the dtype of the weights.
        into: memory for the features [C, P, F].
        run: runs one block on the sum [C, T, D] and returns the new sum.
    """
    vit, first_patch = backbone.vit, 1 if backbone.class_token else 0
    x = vit.embed(patches).float()
    for index, block in enumerate(vit.blocks):
        assert isinstance(block, Block)
        x = run(block, x)
        if index in vit.feature_layers:
            at = vit.feature_layers.index(index) * x.shape[-1]
            into[..., at : at + x.shape[-1]] = x[:, first_patch:]
