"""The connector on a GPU: attention pooling and projector in eight launches instead of eighteen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from app.encoder.network.backbone import VisionBackbone
from app.encoder.runtimes.compiler import kernels_here
from app.encoder.runtimes.fidelity import MAX_RELATIVE_ERROR, agreement

Connect = Callable[[Tensor, Tensor, Tensor], Tensor]
"""As :meth:`VisionBackbone.connect`."""

TRIED_CROPS, WINDOW = 7, 4

log = logging.getLogger(__name__)


class KernelConnector:
    """The connector with :mod:`app.encoder.runtimes.kernels` between its products."""

    def __init__(self, backbone: VisionBackbone, kernels: ModuleType) -> None:
        self._kernels, self._backbone = kernels, backbone
        with torch.inference_mode():
            padded = backbone.padding_embedding is not None
            self._padding_table = backbone.padding_table() if padded else None

    def __call__(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        kernels, pooling = self._kernels, self._backbone.pooling
        projector, masked = self._backbone.projector, self._backbone.masks_missing_patches
        windows, mean = kernels.gather(
            features.flatten(0, 1),
            pool_index,
            padding_state.flatten(),
            self._padding_table,
            masked=masked,
        )
        pooled = pooling.out(
            kernels.pool(
                pooling.query(mean),
                pooling.key_value(windows),
                pool_index,
                heads=pooling.heads,
                masked=masked,
            )
        )
        tokens: Tensor = projector.down(kernels.swiglu(projector.gate_up(pooled)))
        return tokens


def fastest_connector(
    backbone: VisionBackbone, time_ms: Callable[[Callable[[], object]], float]
) -> Connect:
    """Choose the connector with our kernels where they work, agree and are not slower.

    ``time_ms`` tells what some work takes on the device, without its launches: ours has fewer.
    """
    device = backbone.vit.positional_embedding.device
    kernels = kernels_here() if device.type == "cuda" else None
    if kernels is None:
        return backbone.connect
    inputs = _sample(backbone)
    wanted = backbone.connect(*inputs)
    try:
        ours = KernelConnector(backbone, kernels)
        found = agreement(ours(*inputs), wanted)
    except Exception as error:  # Triton fails in every way there is
        log.warning("the connector runs without kernels of our own: %s", error)
        return backbone.connect
    if not found.relative_error <= 2 * MAX_RELATIVE_ERROR[wanted.dtype]:
        log.warning("the kernels of the connector are not used: %s", found)
        return backbone.connect
    ways: tuple[Connect, ...] = (ours, backbone.connect)
    return min(ways, key=lambda connect: time_ms(partial(connect, *inputs)))


def _sample(backbone: VisionBackbone) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with windows that miss a patch, and with every state of padding."""
    embedding = backbone.vit.positional_embedding
    patches = len(embedding) - backbone.class_token
    width = backbone.pooling.query.in_features
    features = torch.randn(TRIED_CROPS, patches, width, device=embedding.device)
    index = torch.arange(TRIED_CROPS * patches // WINDOW * WINDOW, device=embedding.device)
    index = index.view(-1, WINDOW)
    index[::5, WINDOW - 1] = -1
    state = torch.arange(TRIED_CROPS * patches, device=embedding.device).view(TRIED_CROPS, -1) % 3
    return features.to(embedding.dtype), index, state
