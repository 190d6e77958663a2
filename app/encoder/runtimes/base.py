"""What a runtime is, and the plain one that every other must agree with."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from app.encoder.backbone import VisionBackbone


class Runtime(Protocol):
    """Runs the network on one device. Calls come from one thread at a time, in inference mode.

    A result may lie in a buffer of the runtime's own: it holds until the next call of that method.
    """

    @property
    def name(self) -> str:
        """How the network is run, as profiles and answers call it."""

    def encode_patches(self, patches: Tensor) -> Tensor:
        """As :meth:`VisionBackbone.encode_patches`: [C, P, 588] → features [C, P, F]."""

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        """As :meth:`VisionBackbone.connect`: features [C, P, F] → vision tokens [N, L]."""


class Eager:
    """The network as :mod:`app.encoder.backbone` writes it down, operation after operation."""

    name = "eager"

    def __init__(self, backbone: VisionBackbone) -> None:
        self.encode_patches = backbone.encode_patches
        self.connect = backbone.connect
