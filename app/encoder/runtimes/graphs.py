"""The network on a GPU without its launches: one captured CUDA graph per number of crops.

A pass of the vision transformer is some 200 kernels. At few crops a kernel takes less time than
Python needs to launch it, so the GPU waits; a graph hands all of them over at once. The rules of
capture (PyTorch, "CUDA semantics", section "CUDA Graphs") and how they are kept here:

- A graph reads and writes the addresses it was captured with: patches are copied into one static
  buffer, features come out in another, and the runtime keeps the weights. A graph of n crops uses
  the first n rows of both.
- What is used for the first time may allocate or choose a kernel, which capture does not allow:
  every shape runs before it is captured, on the stream of the capture.
- Graphs that share a pool of memory use the same bytes for what lies in between: none of them runs
  while another does, which holds as all calls come from one thread to one stream. Nothing that
  outlives a replay lies in the pool, so the order of replays does not matter.
- The largest is captured first, so that the pool is as large as it must be, and no larger.

The connector runs as it is written: its length depends on the tiling, not on the crops alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from app.encoder.backbone import VisionBackbone
from app.encoder.runtimes.parts import even_parts
from app.encoder.runtimes.vit_passes import CompiledPass, FusedPass, VitPass, VitPassMaker

MAX_CROPS = 13
"""Graphs captured: up to Molmo 1's twelve crops and the global one. More crops are split evenly."""
WARM_UP_PASSES = 2

Replay = Callable[[], None]
Record = Callable[[Callable[[], None]], Replay]
"""Takes work on the device apart from its launches: returns what does the same work again."""


class CudaRecorder:
    """Records work as CUDA graphs that share one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], None]) -> Replay:
        """Run ``work`` some times, then capture it. Waits for the device, before and after."""
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_PASSES):
                    work()
            torch.cuda.current_stream().wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            # Only this thread must keep to the rules: others may pin memory meanwhile.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                work()
        return graph.replay


class CudaGraphs:
    """A backbone on CUDA, which it takes over: its weights must stay where they are.

    Args:
        max_crops: the most crops of one graph.
        make_pass: how the vision transformer is run within a graph.
        record: makes the graphs; by default CUDA does.
    """

    def __init__(
        self,
        backbone: VisionBackbone,
        *,
        name: str = "cuda-graphs",
        max_crops: int = MAX_CROPS,
        make_pass: VitPassMaker = FusedPass,
        record: Record | None = None,
    ) -> None:
        self.name = name
        self.connect = backbone.connect
        weights = backbone.vit.patch_embedding.weight
        patches = backbone.vit.positional_embedding.shape[0] - backbone.class_token
        features = backbone.vit.positional_embedding.shape[1] * len(backbone.vit.feature_layers)
        with torch.inference_mode():
            # Noise: what is run to warm up may choose kernels by how fast they are.
            self._patches = torch.randn(
                max_crops, patches, weights.shape[1], device=weights.device
            ).to(weights.dtype)
            self._features = weights.new_zeros(max_crops, patches, features)
            record = record or CudaRecorder(weights.device)
            self._replays = self._record_all(make_pass(backbone), record)

    def _record_all(self, vit: VitPass, record: Record) -> dict[int, Replay]:
        def work_of(crops: int) -> Callable[[], None]:
            patches, features = self._patches[:crops], self._features[:crops]
            return lambda: vit(patches, features)

        return {crops: record(work_of(crops)) for crops in range(len(self._patches), 0, -1)}

    def encode_patches(self, patches: Tensor) -> Tensor:
        """[C, P, 588] → features [C, P, F], up to ``max_crops`` in the runtime's own buffer."""
        most = len(self._patches)
        if len(patches) <= most:
            return self._replay(patches)
        features = self._features.new_empty(len(patches), *self._features.shape[1:])
        for some, into in even_parts(patches, features, most):
            into.copy_(self._replay(some))
        return features

    def _replay(self, patches: Tensor) -> Tensor:
        crops = len(patches)
        self._patches[:crops].copy_(patches)
        self._replays[crops]()
        return self._features[:crops]


def wide_graphs(backbone: VisionBackbone) -> CudaGraphs:
    """:class:`CudaGraphs` that sum in float32: half the error, for families that need it."""
    return CudaGraphs(backbone, name="cuda-graphs-wide", make_pass=partial(FusedPass, wide=True))


def compiled_graphs(backbone: VisionBackbone) -> CudaGraphs:
    """:class:`CudaGraphs` of blocks that torch.compile made; loading takes a minute longer."""
    return CudaGraphs(backbone, name="compiled", make_pass=CompiledPass)
