"""Run the network on a GPU without launches: one captured CUDA graph per number of crops.

A pass of the vision transformer has some 200 kernels. At few crops a kernel takes less time than
its launch by Python, and the GPU waits. A graph hands all kernels over at once. These rules of
capture are kept (PyTorch, "CUDA semantics", section "CUDA Graphs"):

- A graph stores addresses, not tensors. Patches are copied into one static buffer, features come
  out in another, and the runtime holds the weights and every captured pass. A graph of n crops uses
  the first n rows of both buffers.
- A first use may allocate memory or choose a kernel, and capture allows neither. Every shape
  therefore runs before its capture, on the stream of the capture.
- Graphs of one memory pool use the same bytes for values between kernels, so no two of them may run
  at once. All calls come from one thread to one stream. No result outlives a replay in the pool, so
  the order of replays is free.
- The largest graph is captured first: the pool fits the largest, and the others add little.
- No cyclic garbage is collected during a capture, as a freed graph ends the capture.

The connector is not captured: its length depends on the tiling, not on the crops alone.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
from torch import Tensor

from app.encoder.device.device import ONE_CAPTURE
from app.encoder.network.backbone import VisionBackbone, even_parts
from app.encoder.runtimes.compiler import why_no_compiler
from app.encoder.runtimes.fastest import FastestParts, PassChooser, fastest_connector
from app.encoder.runtimes.vit_passes import CompiledPass, Fp8Pass, VitPass

MAX_CROPS = 13
"""The largest graph: Molmo 1's twelve crops and the global crop. More crops are split evenly."""
WARM_UP_PASSES = 2
TIMED_REPLAYS, TIMED_ROUNDS = 3, 3
"""The number of replays in one timing, and the number of timings: the best counts."""

Work = Callable[[], object]
Replay = Callable[[], None]


class CudaRecorder:
    """Record work on the device as CUDA graphs, with one common pool of memory.

    ``check_input_liveness`` makes a replay fail if an input tensor of the capture is gone. torch
    has the option from 2.12 on. Each replay costs more, so only tests use the option.
    """

    def __init__(self, device: torch.device, *, check_input_liveness: bool = False) -> None:
        self._device = device
        self._stream = _capture_stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._options = {"check_input_liveness": True} if check_input_liveness else {}
        # Held, as the allocator gives a pool up with its last graph, and then refuses its handle.
        self._latest: torch.cuda.CUDAGraph | None = None

    def record(self, work: Work) -> Replay:
        """Wait for the device, run ``work`` some times, then capture the work.

        The result repeats the work without its launches, as long as its tensors live.
        """
        with torch.cuda.device(self._device), ONE_CAPTURE, _no_collection():
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_PASSES):
                    work()
            current.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            try:
                # The rules bind only this thread: others may pin memory meanwhile.
                with torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self._stream,
                    capture_error_mode="thread_local",
                    **self._options,
                ):
                    work()
            finally:
                torch.cuda.set_stream(current)  # a failed capture leaves its own stream current
        self._latest = graph
        return graph.replay

    def time_ms(self, replay: Replay) -> float:
        """Time some replays in a row, several times, and return the best mean in ms."""
        replay()
        means = []
        for _ in range(TIMED_ROUNDS):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # torch
            start.record()
            for _ in range(TIMED_REPLAYS):
                replay()
            end.record()
            end.synchronize()
            means.append(start.elapsed_time(end) / TIMED_REPLAYS)
        return float(min(means))


class CudaGraphs:
    """Take a backbone on CUDA over, and run its network by graphs.

    The weights must stay in their place.

    Args:
        max_crops: the most crops of one graph.
        choose_pass: chooses the pass of the vision transformer for each graph; by default the
            fastest working pass.
        recorder: makes the graphs; by default :class:`CudaRecorder`.

    Attributes:
        chosen: the name of the pass in the graph of each number of crops.
    """

    def __init__(
        self,
        backbone: VisionBackbone,
        *,
        name: str = "cuda-graphs",
        max_crops: int = MAX_CROPS,
        choose_pass: PassChooser | None = None,
        recorder: CudaRecorder | None = None,
    ) -> None:
        self.name = name
        weights = backbone.vit.patch_embedding.weight
        features = backbone.vit.positional_embedding.shape[1] * len(backbone.vit.feature_layers)
        self._recorder = recorder or CudaRecorder(weights.device)
        # Held, like every tensor of a graph: a graph stores addresses alone.
        self._backbone = backbone
        self._passes: dict[int, VitPass] = {}
        with torch.inference_mode():
            # Noise, as a warm-up may choose kernels by their speed.
            self._patches = backbone.input_for(max_crops).normal_()
            self._features = weights.new_zeros(*self._patches.shape[:2], features)
            self._inputs = [self._patches[:crops] for crops in range(max_crops + 1)]
            self._replays = self._record_all(choose_pass or FastestParts(backbone))
            self.connect = fastest_connector(backbone, self._time_work_ms)
        self.chosen = {crops: vit.name for crops, vit in sorted(self._passes.items())}

    def _record_all(self, choose_pass: PassChooser) -> dict[int, Replay]:
        replays: dict[int, Replay] = {}
        for crops in range(len(self._patches), 0, -1):
            self._passes[crops] = choose_pass(crops, partial(self._time_ms, crops))
            replays[crops] = self._recorder.record(self._work(crops, self._passes[crops]))
        return replays

    def _work(self, crops: int, vit: VitPass) -> Work:
        return partial(vit, self._patches[:crops], self._features[:crops])

    def _time_ms(self, crops: int, vit: VitPass) -> float:
        return self._time_work_ms(self._work(crops, vit))

    def _time_work_ms(self, work: Work) -> float:
        return self._recorder.time_ms(self._recorder.record(work))

    def input_for(self, total_crops: int) -> Tensor:
        """Give the first rows of the static buffer, or fresh memory for more than its crops."""
        if total_crops < len(self._inputs):
            return self._inputs[total_crops]
        return self._patches.new_empty(total_crops, *self._patches.shape[1:])

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Encode [C, P, 588] → features [C, P, F], up to ``max_crops`` in the runtime's buffer."""
        most = len(self._patches)
        if len(patches) <= most:
            return self._replay(patches)
        features = self._features.new_empty(len(patches), *self._features.shape[1:])
        for some, into in even_parts(patches, features, most):
            into.copy_(self._replay(some))
        return features

    def _replay(self, patches: Tensor) -> Tensor:
        crops = len(patches)
        if patches is not self._inputs[crops]:
            self._inputs[crops].copy_(patches)
        self._replays[crops]()
        return self._features[:crops]


def compiled_graphs(backbone: VisionBackbone) -> CudaGraphs:
    """Make :class:`CudaGraphs` of blocks by torch.compile; loading takes a minute longer.

    Raises:
        RuntimeError: nothing can be compiled here.
    """
    reason = why_no_compiler()
    if reason is not None:
        raise RuntimeError(reason)
    vit = CompiledPass(backbone)
    return CudaGraphs(backbone, name="compiled", choose_pass=lambda *_: vit)


def fp8_graphs(backbone: VisionBackbone) -> CudaGraphs:
    """Make :class:`CudaGraphs` of blocks with float8 products."""
    vit = Fp8Pass(backbone)
    return CudaGraphs(backbone, name="cuda-graphs-fp8", choose_pass=lambda *_: vit)


@lru_cache(maxsize=8)
def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream for captures on a device: cuBLAS reserves 32 MB for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold cyclic garbage collection off."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
