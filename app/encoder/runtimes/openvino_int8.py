"""Run the vision transformer by OpenVINO with the products of its blocks in int8.

Weights have a scale for each output, and inputs a scale for each layer. The input scale is the
greatest value of a sample in the layer, fixed at load. OpenVINO's own scales, found anew for each
token, are nearer but too slow: 1.2 times the speed of bfloat16, against 1.75 times with fixed
scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from app.encoder.network.backbone import VisionBackbone, VisionTransformer
from app.encoder.runtimes.base import Sample
from app.encoder.runtimes.openvino import Node, OpenVino, VitGraph

LEVELS = 256
GREATEST = 127


class Int8VitGraph(VitGraph):
    """Write a graph with the layers of ``peaks`` in int8; ``peaks`` are their greatest inputs."""

    def __init__(self, vit: VisionTransformer, peaks: Mapping[str, float]) -> None:
        super().__init__(vit)
        self._peaks = peaks

    def linear(self, x: Node, linear: nn.Linear, name: str) -> Node:
        """Compute :meth:`VitGraph.linear` with both factors rounded to steps of int8."""
        if name not in self._peaks:
            return super().linear(x, linear, name)
        low, high = (self.constant(torch.tensor(end)) for end in _ends(self._peaks[name]))
        rounded = self.ops.fake_quantize(self.wide(x), low, high, low, high, LEVELS)
        weight, scale = (self.constant(part) for part in quantise(linear.weight.detach()))
        scaled = self.ops.multiply(self.wide(weight), scale)
        out = self.ops.matmul(rounded, scaled, False, True)
        return self.narrow(self.ops.add(out, self.constant(linear.bias.float())))


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split a weight [outputs, inputs] into int8 of the same shape and scales float32 [outputs, 1].

    The greatest weight of each output becomes 127.
    """
    weight = weight.float()
    scale = weight.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / GREATEST
    return (weight / scale).round().to(torch.int8), scale


@torch.inference_mode()
def input_peaks(vit: VisionTransformer, patches: Tensor) -> dict[str, float]:
    """Find the greatest input of each product in the blocks, by layer name.

    ``patches`` [C, P, 588] are the crops to run, in the dtype of the weights.
    """
    peaks: dict[str, float] = {}

    def note(name: str, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        peaks[name] = max(peaks.get(name, 0.0), float(inputs[0].abs().max()))

    hooks = [
        module.register_forward_pre_hook(partial(note, name))
        for name, module in vit.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("blocks.")
    ]
    try:
        vit(patches)
    finally:
        for hook in hooks:
            hook.remove()
    return peaks


def _ends(peak: float) -> tuple[float, float]:
    """Return the ends of a range with int8's 256 steps: zero is a step, and step 127 the peak."""
    return -peak * (GREATEST + 1) / GREATEST, peak


class OpenVinoInt8(OpenVino):
    """Run most products in int8. docs/method/openvino.md gives the loss of accuracy."""

    name = "openvino-int8"

    def __init__(self, backbone: VisionBackbone, sample: Sample) -> None:
        peaks = input_peaks(backbone.vit, sample.patches)
        self._run_with(backbone, Int8VitGraph(backbone.vit, peaks))
