"""Run the network on a CPU through OpenVINO; the connector stays torch's.

The graph is built layer by layer from a backbone's parameters in 0.3 s. A conversion of the module
by OpenVINO's own tool took 29 s. OpenVINO is untyped; its nodes are ``Any`` here.

In int8 weights have a scale for each output, and inputs a scale for each layer. The input scale is
the greatest value of a sample in the layer, fixed at load. OpenVINO's own scales, found anew for
each token, are nearer but too slow: 1.2 times the speed of bfloat16, against 1.75 times with fixed
scales.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from app.core.plan.families import Activation
from app.encoder.network.backbone import (
    QUICK_GELU,
    Block,
    SelfAttention,
    VisionBackbone,
    VisionTransformer,
    even_parts,
)
from app.encoder.runtimes.base import Sample
from app.encoder.runtimes.packed import can_pack, pack_linears

Node = Any
LAST = 2**31 - 1
TYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.int8: "i8"}
"""OpenVINO's names of the dtypes for inputs and weights."""


def import_openvino() -> Any:
    """Import ``openvino`` without its report to a statistics service.

    The import posts an event to the service and writes an identifier under the home directory,
    unless the user declined before. Without its companion package ``openvino_telemetry`` the
    package uses an empty stand-in. None in ``sys.modules`` hides the companion.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None hides a module
    import openvino

    return openvino


def in_place(tensor: Tensor) -> Any:
    """Share a tensor's memory with OpenVINO, as long as the torch tensor lives.

    numpy has no bfloat16, so the bits of bfloat16 go as whole numbers under the right name.
    """
    ov = import_openvino()
    bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    return ov.Tensor(
        bits.numpy(), ov.Shape(list(tensor.shape)), getattr(ov.Type, TYPES[tensor.dtype])
    )


class VitGraph:
    """Write a vision transformer down as OpenVINO operations.

    The operations have the dtype of the parameters, except the sum over the blocks in float32: the
    wider sum halves the error of bfloat16 and costs nothing. The graph and its compiled model read
    ``weights`` in place: hold the tensors as long as either.
    """

    def __init__(self, vit: VisionTransformer) -> None:
        self.ov = import_openvino()
        self.ops = self.ov.opset15
        self.weights: list[Tensor] = []
        self._vit = vit
        self._type = in_place(vit.positional_embedding.detach()).element_type

    def model(self) -> Any:
        """Make the model: patches [C, P, 588] → features [C, P, F], for any number of crops C."""
        ops, vit = self.ops, self._vit
        tokens = len(vit.positional_embedding)
        class_tokens = 0 if vit.class_embedding is None else 1
        shape = [-1, tokens - class_tokens, vit.patch_embedding.in_features]
        patches = ops.parameter(shape, self._type)
        x = self.wide(self._embed(patches, class_tokens))
        read: dict[int, Node] = {}
        for index, block in enumerate(vit.blocks):
            assert isinstance(block, Block)
            x = self._block(x, block, f"blocks.{index}")
            read[index] = x
        features = ops.concat([read[layer] for layer in vit.feature_layers], -1)
        if class_tokens:
            first, last, step, axis = (self._whole(value) for value in (class_tokens, LAST, 1, 1))
            features = ops.slice(features, first, last, step, axis)
        return self.ov.Model([self.narrow(features).output(0)], [patches])

    def constant(self, tensor: Tensor) -> Node:
        """Make a constant of a tensor, in its dtype."""
        tensor = tensor.detach().contiguous()
        self.weights.append(tensor)
        return self.ops.constant(in_place(tensor), shared_memory=True)

    def wide(self, x: Node) -> Node:
        """Convert to float32."""
        return self.ops.convert(x, self.ov.Type.f32)

    def narrow(self, x: Node) -> Node:
        """Convert to the dtype of the parameters."""
        return self.ops.convert(x, self._type)

    def linear(self, x: Node, linear: nn.Linear, name: str) -> Node:
        """Compute ``x · weightᵀ + bias``; ``name`` is the layer's in the vision transformer."""
        out = self.ops.matmul(x, self.constant(linear.weight), False, True)
        return out if linear.bias is None else self.ops.add(out, self.constant(linear.bias))

    def _embed(self, patches: Node, class_tokens: int) -> Node:
        ops, vit = self.ops, self._vit
        x = self.linear(patches, vit.patch_embedding, "patch_embedding")
        position = vit.positional_embedding.detach().clone()
        if vit.class_embedding is not None:
            # A row of zeros goes in front; the class token is added with its position.
            zero = self.constant(position.new_zeros(()))
            x = ops.pad(x, self._whole(0, 1, 0), self._whole(0, 0, 0), "constant", zero)
            position[:class_tokens] += vit.class_embedding
        x = ops.add(x, self.constant(position[None]))
        return x if vit.pre_norm is None else self._norm(x, vit.pre_norm)

    def _block(self, x: Node, block: Block, name: str) -> Node:
        """Run a block on float32 [C, T, D]."""
        ops, mlp = self.ops, block.mlp
        normed = self._norm(self.narrow(x), block.attention_norm)
        x = ops.add(x, self.wide(self._attention(normed, block.attention, f"{name}.attention")))
        normed = self._norm(self.narrow(x), block.mlp_norm)
        activated = self._activate(self.linear(normed, mlp.up, f"{name}.mlp.up"), mlp.activation)
        return ops.add(x, self.wide(self.linear(activated, mlp.down, f"{name}.mlp.down")))

    def _attention(self, x: Node, attention: SelfAttention, name: str) -> Node:
        ops = self.ops
        heads, width = attention.heads, attention.out.out_features
        qkv = self.linear(x, attention.qkv, f"{name}.qkv")
        split = ops.split(qkv, self._whole(2, scalar=True), 3).outputs()
        by_head = self._whole(0, 0, heads, width // heads)
        query, key, value = (
            ops.transpose(ops.reshape(part, by_head, True), self._whole(0, 2, 1, 3))
            for part in split
        )
        mixed = ops.scaled_dot_product_attention(query, key, value, causal=False)
        joined = ops.transpose(mixed, self._whole(0, 2, 1, 3))
        joined = ops.reshape(joined, self._whole(0, 0, width), True)
        return self.linear(joined, attention.out, f"{name}.out")

    def _norm(self, x: Node, norm: nn.LayerNorm) -> Node:
        ops = self.ops
        normed = ops.mvn(x, self._whole(-1), True, norm.eps, "inside_sqrt")
        scaled = ops.multiply(normed, self.constant(norm.weight))
        return ops.add(scaled, self.constant(norm.bias))

    def _activate(self, x: Node, activation: Activation) -> Node:
        if activation == "gelu_tanh":
            return self.ops.gelu(x, "tanh")
        slope = self._vit.positional_embedding.new_tensor(QUICK_GELU)
        return self.ops.swish(x, self.constant(slope))  # x · σ(1.702 x)

    def _whole(self, *values: int, scalar: bool = False) -> Node:
        numbers = torch.tensor(values[0] if scalar else values, dtype=torch.int64)
        return self.ops.constant(numbers.numpy())


CROPS_AT_ONCE = 4
"""The most crops in one request. OpenVINO plans each number anew, so few numbers are better."""


def openvino_installed() -> bool:
    """Return True if the optional package is installed, without an import."""
    return find_spec("openvino") is not None


class OpenVino:
    """Take a backbone on the CPU over, and run its transformer by OpenVINO on the same weights."""

    name = "openvino"

    def __init__(self, backbone: VisionBackbone) -> None:
        self._run_with(backbone, VitGraph(backbone.vit))

    def _run_with(self, backbone: VisionBackbone, graph: VitGraph) -> None:
        vit = backbone.vit
        self._input = backbone.input_for(0)
        self._dtype = vit.positional_embedding.dtype
        self._width = vit.positional_embedding.shape[-1] * len(vit.feature_layers)
        options = {
            # "bf16" would also round the sum over the blocks, against the graph.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Pinned threads would wait for cores in use by torch or another process.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = graph.ov.Core().compile_model(graph.model(), "CPU", options)
        self._request = compiled.create_infer_request()
        self._weights: Sequence[Tensor] = graph.weights
        del backbone.vit  # the line above holds the tensors still in use
        if can_pack(self._dtype):
            with torch.inference_mode():
                pack_linears(backbone)
        self.connect = backbone.connect

    def input_for(self, total_crops: int) -> Tensor:
        """Allocate memory for patches [C, P, 588]."""
        return self._input.new_empty(total_crops, *self._input.shape[1:])

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Encode [C, P, 588] → features [C, P, F], a few crops at a time."""
        patches = patches.to(self._dtype).contiguous()
        features = patches.new_empty(*patches.shape[:2], self._width)
        for some, into in even_parts(patches, features, CROPS_AT_ONCE):
            self._request.set_input_tensor(in_place(some))
            self._request.set_output_tensor(in_place(into))
            self._request.infer()
        return features


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
        peak = self._peaks[name]
        lowest = -peak * (GREATEST + 1) / GREATEST  # zero is a step of int8, and step 127 the peak
        low, high = (self.constant(torch.tensor(end)) for end in (lowest, peak))
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


class OpenVinoInt8(OpenVino):
    """Run most products in int8. docs/method/openvino.md gives the loss of accuracy."""

    name = "openvino-int8"

    def __init__(self, backbone: VisionBackbone, sample: Sample) -> None:
        peaks = input_peaks(backbone.vit, sample.patches)
        self._run_with(backbone, Int8VitGraph(backbone.vit, peaks))
