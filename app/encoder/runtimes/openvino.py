"""The network on a CPU through OpenVINO, where that is installed; the connector stays torch's."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from app.encoder.network.backbone import VisionBackbone
from app.encoder.runtimes.base import FreshInput, Sample
from app.encoder.runtimes.openvino_graph import VitGraph, in_place
from app.encoder.runtimes.openvino_int8 import Int8VitGraph, input_peaks
from app.encoder.runtimes.packed import can_pack, pack_linears
from app.encoder.runtimes.parts import even_parts

CROPS_AT_ONCE = 4
"""Crops run together. OpenVINO makes its plans for each number anew, so few numbers are better."""


def openvino_installed() -> bool:
    """Whether the optional package is there; it is not imported to find out."""
    return find_spec("openvino") is not None


class OpenVino:
    """A backbone on the CPU, which it takes over: OpenVINO reads its weights where they lie."""

    name = "openvino"

    def __init__(self, backbone: VisionBackbone) -> None:
        self._run_with(backbone, VitGraph(backbone.vit))

    def _run_with(self, backbone: VisionBackbone, graph: VitGraph) -> None:
        vit = backbone.vit
        self.input_for = FreshInput(backbone)
        self._dtype = vit.positional_embedding.dtype
        self._width = vit.positional_embedding.shape[-1] * len(vit.feature_layers)
        compiled = graph.ov.Core().compile_model(graph.model(), "CPU", _options())
        self._request = compiled.create_infer_request()
        self._weights: Sequence[Tensor] = graph.weights
        del backbone.vit  # what of it is still needed is held by the line above
        if can_pack(self._dtype):
            with torch.inference_mode():
                pack_linears(backbone)
        self.connect = backbone.connect

    def encode_patches(self, patches: Tensor) -> Tensor:
        """[C, P, 588] → features [C, P, F], a few crops at a time."""
        patches = patches.to(self._dtype).contiguous()
        features = patches.new_empty(*patches.shape[:2], self._width)
        for some, into in even_parts(patches, features, CROPS_AT_ONCE):
            self._request.set_input_tensor(in_place(some))
            self._request.set_output_tensor(in_place(into))
            self._request.infer()
        return features


class OpenVinoInt8(OpenVino):
    """Most products in int8, which loses accuracy: docs/method/openvino.md says how much."""

    name = "openvino-int8"

    def __init__(self, backbone: VisionBackbone, sample: Sample) -> None:
        peaks = input_peaks(backbone.vit, sample.patches)
        self._run_with(backbone, Int8VitGraph(backbone.vit, peaks))


def _options() -> dict[str, Any]:
    return {
        # As the graph says. With "bf16" the sum over the blocks would be rounded to it too.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Pinned threads wait where torch's, or another process's, already run.
        "ENABLE_CPU_PINNING": False,
    }
