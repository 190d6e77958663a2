"""Choose, at capture, the fastest sound way to run the vision transformer and the connector.

A way is sound if it computes what the plain network computes. Only sound ways are timed.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from app.encoder.network.backbone import Mlp, VisionBackbone
from app.encoder.runtimes.compiler import kernels_here
from app.encoder.runtimes.fidelity import MAX_RELATIVE_ERROR, agreement, plain_features
from app.encoder.runtimes.vit_passes import (
    ATTENTION_BACKENDS,
    PLAIN,
    Parts,
    PartsPass,
    Up,
    UpByKernel,
    UpWithin,
    VitPass,
    add_within,
)

DECIDED_AT = frozenset({1, 2, 4, 7, 13})
"""Numbers of crops with timed ways. A number between takes the way of the next higher: 3 of 4."""
CLEARLY = 1.01
"""A later way must be faster than an earlier, simpler way by this factor, against noise."""
TRIED_CROPS = 2
WRONG = 5
"""A way with an error of more than this many limits of its dtype computes something else. A smaller
error is judged with the whole runtime: for some weights no arithmetic keeps the limit."""
PassChooser = Callable[[int, Callable[[VitPass], float]], VitPass]
"""Chooses the pass for a number of crops, by a function that times a pass over them in ms.

Calls come with falling numbers of crops.
"""
log = logging.getLogger(__name__)


class FastestParts:
    """Choose among parts: first the backend of attention, then the operations around products.

    Args:
        parts: the simplest first; by default all parts for the backbone's device.

    Attributes:
        refused: the reason against each refused way, by its name.
    """

    def __init__(self, backbone: VisionBackbone, parts: Sequence[Parts] | None = None) -> None:
        self._backbone = backbone
        self._passes: dict[Parts, PartsPass] = {}
        self._last: Parts | None = None
        self.refused: dict[str, str] = {}
        self._noise = backbone.input_for(TRIED_CROPS).normal_()
        self._wanted = plain_features(backbone, self._noise)
        self._parts = self._sound(parts or parts_for(backbone))
        if not self._parts:
            raise RuntimeError(f"no way to run the transformer agrees: {self.refused}")
        first = self._parts[0]
        backends = [replace(first, attention=one) for one in ATTENTION_BACKENDS]
        self._attentions = [first.attention, *(one.attention for one in self._sound(backends))]
        for name, reason in self.refused.items():
            log.info("%s is not used: %s", name, reason)

    def __call__(self, crops: int, time_ms: Callable[[VitPass], float]) -> VitPass:
        if self._last is None or crops in DECIDED_AT:
            self._last = self._fastest(time_ms)
            log.info("%d crops: %s", crops, self._passes[self._last].name)
        return self._passes[self._last]

    def _fastest(self, time_ms: Callable[[VitPass], float]) -> Parts:
        def fastest(candidates: Sequence[Parts]) -> Parts:
            best, best_ms = candidates[0], float("inf")
            for parts in candidates if len(candidates) > 1 else ():
                ms = self._try(parts, time_ms)
                if ms * CLEARLY < best_ms:
                    best, best_ms = parts, ms
            return best

        first = self._parts[0]
        attention = fastest([replace(first, attention=one) for one in self._attentions]).attention
        return fastest([replace(parts, attention=attention) for parts in self._parts])

    def _try(self, parts: Parts, time_ms: Callable[[VitPass], float]) -> float:
        """Time a way in ms; infinity if its capture fails or its memory does not suffice."""
        if parts.label in self.refused:
            return float("inf")
        try:
            return time_ms(self._pass(parts))
        except RuntimeError as error:
            self.refused[parts.label] = _first_line(error)
            log.warning("%s is not used: %s", parts.label, self.refused[parts.label])
            return float("inf")

    def _pass(self, parts: Parts) -> PartsPass:
        """Make the pass of these parts once: graphs read its tensors as long as they live."""
        if parts not in self._passes:
            self._passes[parts] = PartsPass(self._backbone, parts)
        return self._passes[parts]

    def _sound(self, candidates: Sequence[Parts]) -> list[Parts]:
        return [parts for parts in candidates if self._is_sound(parts)]

    def _is_sound(self, parts: Parts) -> bool:
        """Try a way on noise; refuse the way after an error or a wrong result."""
        into = torch.empty_like(self._wanted, dtype=self._noise.dtype)
        try:
            with warnings.catch_warnings():
                # torch warns of every unusable backend of attention, and then raises.
                warnings.simplefilter("ignore")
                self._pass(parts)(self._noise, into)
        except Exception as error:  # Triton fails with errors of many classes
            self._passes.pop(parts, None)
            self.refused[parts.label] = _first_line(error)
            return False
        found = agreement(into, self._wanted)
        if not found.relative_error <= WRONG * MAX_RELATIVE_ERROR[into.dtype]:
            self._passes.pop(parts, None)
            self.refused[parts.label] = f"relative error {found.relative_error:.1e}"
            return False
        return True


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def parts_for(backbone: VisionBackbone) -> tuple[Parts, ...]:
    """List the ways for the backbone's device and dtype, the simplest first."""
    weight = backbone.vit.patch_embedding.weight
    if weight.device.type != "cuda":
        return (PLAIN,)
    within = replace(PLAIN, name="sum within", add_product=add_within)
    return (PLAIN, within, *_with_kernels(within, weight))


def _with_kernels(within: Parts, weight: Tensor) -> tuple[Parts, ...]:
    """List the ways with kernels of our own: none if they cannot be compiled."""
    kernels = kernels_here()
    if kernels is None:
        return ()

    def normalise(x: Tensor, shift: Tensor, norm: nn.LayerNorm) -> Tensor:
        normed: Tensor = kernels.norm(x, shift, norm.weight, norm.bias, norm.eps)
        return normed

    with_norm = replace(within, name="sum within, Triton norm", normalise=normalise)
    ups: dict[str, Callable[[Mlp], Up]] = {"GELU within": UpWithin}
    # Older cards cannot load ahead, and Triton multiplies float32 as TF32.
    if weight.dtype.itemsize == 2 and torch.cuda.get_device_capability(weight.device) >= (8, 0):
        ups |= {
            f"Triton up {tile[0]}x{tile[1]}": partial(UpByKernel, partial(kernels.up, tile=tile))
            for tile in kernels.TILES
        }
    named = {f"{with_norm.name}, {name}": make_up for name, make_up in ups.items()}
    return (with_norm, *(replace(with_norm, name=name, make_up=up) for name, up in named.items()))


Connect = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Has the arguments and the result of :meth:`VisionBackbone.connect`."""
CONNECTOR_CROPS, WINDOW = 7, 4


class KernelConnector:
    """Run the connector with kernels between its products: eight launches instead of eighteen."""

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
    """Choose the connector with our kernels if they work, agree and are not slower.

    ``time_ms`` times work on the device without its launches, as our connector has fewer launches.
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
    except Exception as error:  # Triton fails with errors of many classes
        log.warning("the connector runs without kernels of our own: %s", error)
        return backbone.connect
    if not found.relative_error <= 2 * MAX_RELATIVE_ERROR[wanted.dtype]:
        log.warning("the kernels of the connector are not used: %s", found)
        return backbone.connect
    ways: tuple[Connect, ...] = (ours, backbone.connect)
    return min(ways, key=lambda connect: time_ms(partial(connect, *inputs)))


def _sample(backbone: VisionBackbone) -> tuple[Tensor, Tensor, Tensor]:
    """Make noise with missing patches in some windows, and with every state of padding."""
    embedding = backbone.vit.positional_embedding
    patches = len(embedding) - backbone.class_token
    width = backbone.pooling.query.in_features
    features = torch.randn(CONNECTOR_CROPS, patches, width, device=embedding.device)
    index = torch.arange(CONNECTOR_CROPS * patches // WINDOW * WINDOW, device=embedding.device)
    index = index.view(-1, WINDOW)
    index[::5, WINDOW - 1] = -1
    state = (
        torch.arange(CONNECTOR_CROPS * patches, device=embedding.device).view(CONNECTOR_CROPS, -1)
        % 3
    )
    return features.to(embedding.dtype), index, state
