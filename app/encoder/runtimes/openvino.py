"""Run the network on a CPU through OpenVINO; the connector stays torch's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
)
from app.encoder.runtimes.base import FreshInput, even_parts
from app.encoder.runtimes.packed import can_pack, pack_linears

Node = Any
LAST = 2**31 - 1
TYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.int8: "i8"}
"""OpenVINO's names of the types that are handed over."""


def import_openvino() -> Any:
    """The ``openvino`` package, kept from reporting to its makers that it was imported.

    On import it posts an event to a statistics service and writes an identifier under the home
    directory, unless that was declined before. Where its companion package ``openvino_telemetry``
    cannot be imported, it uses an empty one of its own; None in ``sys.modules`` sees to that.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: not there
    import openvino

    return openvino


def in_place(tensor: Tensor) -> Any:
    """A tensor's memory as OpenVINO's tensor; valid as long as the torch one lives.

    numpy has no bfloat16, so its bits go as whole numbers under the right name.
    """
    ov = import_openvino()
    bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    return ov.Tensor(
        bits.numpy(), ov.Shape(list(tensor.shape)), getattr(ov.Type, TYPES[tensor.dtype])
    )


class VitGraph:
    """Writes a vision transformer down as OpenVINO operations.

    All is in the dtype of the parameters but the sum that blocks add to, which is in float32:
    that halves the error of bfloat16 and costs nothing. ``weights`` are the tensors that the graph,
    and whatever is compiled from it, reads in place: keep them as long as either.
    """

    def __init__(self, vit: VisionTransformer) -> None:
        self.ov = import_openvino()
        self.ops = self.ov.opset15
        self.weights: list[Tensor] = []
        self._vit = vit
        self._type = in_place(vit.positional_embedding.detach()).element_type

    def model(self) -> Any:
        """Patches [C, P, 588] → features [C, P, F], for any number of crops C."""
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
        """A tensor as a constant of its dtype."""
        tensor = tensor.detach().contiguous()
        self.weights.append(tensor)
        return self.ops.constant(in_place(tensor), shared_memory=True)

    def wide(self, x: Node) -> Node:
        """The same in float32."""
        return self.ops.convert(x, self.ov.Type.f32)

    def narrow(self, x: Node) -> Node:
        """The same in the dtype of the parameters."""
        return self.ops.convert(x, self._type)

    def linear(self, x: Node, linear: nn.Linear, name: str) -> Node:
        """``x · weightᵀ + bias``; ``name`` is the layer's within the vision transformer."""
        out = self.ops.matmul(x, self.constant(linear.weight), False, True)
        return out if linear.bias is None else self.ops.add(out, self.constant(linear.bias))

    def _embed(self, patches: Node, class_tokens: int) -> Node:
        ops, vit = self.ops, self._vit
        x = self.linear(patches, vit.patch_embedding, "patch_embedding")
        position = vit.positional_embedding.detach().clone()
        if vit.class_embedding is not None:
            # A row of zeros in front, to which the class token is added with its position.
            zero = self.constant(position.new_zeros(()))
            x = ops.pad(x, self._whole(0, 1, 0), self._whole(0, 0, 0), "constant", zero)
            position[:class_tokens] += vit.class_embedding
        x = ops.add(x, self.constant(position[None]))
        return x if vit.pre_norm is None else self._norm(x, vit.pre_norm)

    def _block(self, x: Node, block: Block, name: str) -> Node:
        """Takes and gives float32."""
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
