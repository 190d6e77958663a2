"""Define the interface of a runtime, and the plain runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from app.encoder.network.backbone import VisionBackbone


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Hold the inputs of a pass, in the dtype and on the device of the weights.

    ``patches`` [C, P, 588]; ``pool_index`` int64 [N, W] and ``padding_state`` int64 [C, P] as in
    :meth:`VisionBackbone.connect`. :func:`app.encoder.synthetic.check_sample` makes the inputs of a
    runtime's trial.
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


class Eager:
    """Run the network operation by operation, as written in ``backbone``."""

    name = "eager"

    def __init__(self, backbone: VisionBackbone) -> None:
        self.encode_patches = backbone.encode_patches
        self.connect = backbone.connect
        self.input_for = backbone.input_for


Maker = Callable[[VisionBackbone, Sample], Runtime]
"""Makes a runtime from a backbone, and may take the backbone over.

A maker may use the sample to find ranges, or to choose among ways to run the same network. The
runtime is checked on the same sample later.
"""


def without_sample(make: Callable[[VisionBackbone], Runtime]) -> Maker:
    """Turn a function of the weights alone into a :data:`Maker`."""
    return lambda backbone, _: make(backbone)
