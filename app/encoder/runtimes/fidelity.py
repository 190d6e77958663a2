"""Compare a runtime with the plain float32 network, and set the limits of its error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.encoder.device.device import exact_float32
from app.encoder.network.backbone import VisionBackbone
from app.encoder.runtimes.base import Runtime, Sample

MAX_RELATIVE_ERROR = {
    torch.float32: 1e-5,
    torch.float16: 1.5e-3,
    torch.bfloat16: 1e-2,
    torch.int8: 5e-2,
    torch.float8_e4m3fn: 1e-1,
}
MIN_COSINE = {
    torch.float32: 0.99999,
    torch.float16: 0.9999,
    torch.bfloat16: 0.999,
    torch.int8: 0.99,
    torch.float8_e4m3fn: 0.99,
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Hold the error ‖a - b‖ / ‖b‖ over all values, and the cosine of the worst row."""

    relative_error: float
    min_cosine: float

    def holds(self, dtype: torch.dtype) -> bool:
        """Return True if the error is within the limits of ``dtype``; NaN never is."""
        near = self.relative_error <= MAX_RELATIVE_ERROR[dtype]
        return near and self.min_cosine >= MIN_COSINE[dtype]

    def nearer_than(self, other: Agreement) -> bool:
        """Return True if the relative error is smaller; NaN never is."""
        return self.relative_error < other.relative_error

    def __str__(self) -> str:
        return f"relative error {self.relative_error:.2e}, cosine {self.min_cosine:.5f}"


def agreement(actual: Tensor, reference: Tensor) -> Agreement:
    """Compare rows [.., D] with a reference of the same shape, in float64.

    Raises:
        ValueError: the shapes differ.
    """
    if actual.shape != reference.shape:
        raise ValueError(f"shapes differ: {list(actual.shape)} and {list(reference.shape)}")
    a, b = actual.double(), reference.double()
    return Agreement(
        relative_error=float((a - b).norm() / b.norm()),
        min_cosine=float(functional.cosine_similarity(a, b, dim=-1).min()),
    )


def worst_crop(actual: Tensor, reference: Tensor) -> Agreement:
    """Compare crops [C, P, D] one by one, and return the agreement of the worst crop.

    In one comparison over all crops, the good crops would hide a bad crop.
    """
    crops = [agreement(*pair) for pair in zip(actual, reference, strict=True)]
    return _worst(crops)


def _worst(found: Sequence[Agreement]) -> Agreement:
    """Return the largest error and the smallest cosine; NaN wins over every number."""
    errors = torch.tensor([one.relative_error for one in found], dtype=torch.float64)
    cosines = torch.tensor([one.min_cosine for one in found], dtype=torch.float64)
    return Agreement(float(errors.max()), float(cosines.min()))


@dataclass(frozen=True, slots=True, eq=False)
class Reference(Sample):
    """Hold a sample and its results by the plain network in float32.

    ``features`` float32 [C, P, F], rounded to the dtype of the weights, so that the rounding of the
    connector's input is not counted as the connector's error; ``tokens`` float32 [N, L].
    """

    features: Tensor
    tokens: Tensor


@dataclass(frozen=True, slots=True)
class StageAgreement:
    """Hold the agreement of each stage on the reference's inputs, and of both in a row."""

    vit: Agreement
    connector: Agreement
    tokens: Agreement

    def holds(self, dtype: torch.dtype) -> bool:
        """Return True if both stages are near enough; two in a row may add up their errors."""
        return self.vit.holds(dtype) and self.connector.holds(dtype)

    def holds_beside(self, plain: StageAgreement, dtype: torch.dtype) -> bool:
        """Judge a runtime beside ``plain``, the plain network computed in ``dtype``.

        For some weights no arithmetic in ``dtype`` comes near float32. Then a stage over the limit
        must be nearer than the plain stage, and the tokens must be nearer than the plain tokens. No
        stage may exceed the limit of int8.
        """
        stages = (self.vit, plain.vit), (self.connector, plain.connector)
        return self.tokens.nearer_than(plain.tokens) and all(
            mine.holds(dtype) or (mine.nearer_than(theirs) and mine.holds(torch.int8))
            for mine, theirs in stages
        )

    def __str__(self) -> str:
        return f"ViT {self.vit}, connector {self.connector}, both {self.tokens}"


@torch.inference_mode()
def plain_reference(backbone: VisionBackbone, sample: Sample) -> Reference:
    """Run the plain network over a sample in float32, with weights of any dtype."""
    dtype = backbone.vit.positional_embedding.dtype
    features = plain_features(backbone, sample.patches).to(dtype).float()
    with exact_float32(), _in_float32(backbone):
        tokens = backbone.connect(features, sample.pool_index, sample.padding_state)
    return Reference(sample.patches, sample.pool_index, sample.padding_state, features, tokens)


@torch.inference_mode()
def plain_features(backbone: VisionBackbone, patches: Tensor) -> Tensor:
    """Run the plain transformer over patches [C, P, 588] in float32: features [C, P, F]."""
    with exact_float32(), _in_float32(backbone):
        return backbone.features(backbone.vit(patches.float()))


@torch.inference_mode()
def compare(
    runtime: Runtime, reference: Reference, dtype: torch.dtype, counts: Sequence[int] = ()
) -> StageAgreement:
    """Run the reference's inputs in ``dtype`` and compare, stage by stage.

    Args:
        counts: the numbers of crops in the ViT's passes, by default the reference's own number. The
            passes repeat the reference's crops, so that the plain network runs each crop only once.
            The first number must be at least the reference's own, as the tokens come from that
            pass.
    """
    where = reference.pool_index, reference.padding_state
    patches = reference.patches.to(dtype)
    own = len(patches)
    # A clone, as the runtime may overwrite its buffer at the next call.
    connected = runtime.connect(reference.features.to(dtype), *where).clone()
    first, *others = counts or (own,)
    features = runtime.encode_patches(patches[_over_and_over(patches, first)])
    found = [worst_crop(features, reference.features[_over_and_over(patches, first)])]
    tokens = runtime.connect(features[:own], *where).clone()
    for count in others:
        crops = _over_and_over(patches, count)
        found.append(worst_crop(runtime.encode_patches(patches[crops]), reference.features[crops]))
    return StageAgreement(
        vit=_worst(found),
        connector=agreement(connected, reference.tokens),
        tokens=agreement(tokens, reference.tokens),
    )


def _over_and_over(patches: Tensor, count: int) -> Tensor:
    """Return the indices of ``count`` crops: all crops in turn, and then from the first again."""
    return torch.arange(count, device=patches.device) % len(patches)


@contextmanager
def _in_float32(backbone: VisionBackbone) -> Iterator[None]:
    """Widen each layer for its run and narrow the layer after, without loss.

    A whole copy in float32 would need 1.6 GB more.
    """
    hooks: list[Any] = []
    for module in backbone.modules():
        own = next(module.parameters(recurse=False), None)
        if own is not None and isinstance(module, nn.Linear | nn.LayerNorm):
            hooks.append(module.register_forward_pre_hook(_widen))
            hooks.append(module.register_forward_hook(partial(_narrow, own.dtype)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _widen(module: nn.Module, _: Any) -> None:
    module.float()


def _narrow(dtype: torch.dtype, module: nn.Module, *_: Any) -> None:
    module.to(dtype)
