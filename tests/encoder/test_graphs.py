from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from app.encoder.backbone import VisionBackbone
from app.encoder.fidelity import agreement
from app.encoder.random_weights import random_backbone
from app.encoder.runtimes.choose import available, on_request
from app.encoder.runtimes.graphs import WARM_UP_PASSES, CudaGraphs, CudaRecorder, Replay
from app.encoder.runtimes.vit_passes import CompiledPass, FusedPass
from tests.encoder.reference import CPU, Vectors

MAX = 3


def run_again(work: Callable[[], None]) -> Replay:
    """What a graph does, without CUDA: the same work on the same addresses."""
    return work


def graphs_of(backbone: VisionBackbone, **options: Any) -> CudaGraphs:
    return CudaGraphs(backbone, **{"max_crops": MAX, "record": run_again, **options})


def noise(backbone: VisionBackbone, crops: int, seed: int) -> Tensor:
    vit = backbone.vit
    patches = len(vit.positional_embedding) - backbone.class_token
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(crops, patches, vit.patch_embedding.in_features, generator=generator)


@pytest.fixture(scope="module", params=["molmo1", "molmo2"])
def backbone(request: pytest.FixtureRequest) -> VisionBackbone:
    vectors: Vectors = request.getfixturevalue(request.param)
    return random_backbone(vectors.family, CPU, torch.float32)


@settings(max_examples=5)
@given(counts=st.lists(st.integers(1, 2 * MAX + 1), min_size=1, max_size=4))
def test_graphs_may_be_replayed_in_any_order(backbone: VisionBackbone, counts: list[int]) -> None:
    """Whatever ran before in the same buffers, and however many crops there are, every call gives
    the features of its own patches."""
    runtime = graphs_of(backbone)
    for seed, count in enumerate(counts):
        patches = noise(backbone, count, seed)
        with torch.inference_mode():
            wanted = backbone.encode_patches(patches)
            features = runtime.encode_patches(patches)
        assert agreement(features, wanted).relative_error <= 1e-5


def test_every_count_is_recorded_once_and_the_largest_first(backbone: VisionBackbone) -> None:
    """So that the pool of the largest holds all others, and no count is ever run eagerly."""
    recorded: list[int] = []

    class Pass:
        def __call__(self, patches: Tensor, into: Tensor) -> None:
            assert len(patches) == len(into)
            recorded.append(len(patches))

    def record(work: Callable[[], None]) -> Replay:
        work()
        return lambda: None

    graphs_of(backbone, record=record, make_pass=lambda _: Pass())
    assert recorded == [3, 2, 1]


def test_more_crops_than_a_graph_holds_are_split_evenly(backbone: VisionBackbone) -> None:
    """No graph is captured in vain: 4 crops are 2 × 2, not 3 + 1."""
    run: list[int] = []

    class Pass:
        def __call__(self, patches: Tensor, into: Tensor) -> None:
            run.append(len(patches))

    runtime = graphs_of(backbone, make_pass=lambda _: Pass())
    with torch.inference_mode():
        runtime.encode_patches(noise(backbone, 4, 0))
    assert run == [2, 2]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_pass_is_as_near_as_the_dtype_allows(
    backbone: VisionBackbone, dtype: torch.dtype, wide: bool
) -> None:
    """In place, and with 1.702 inside the products, nothing more is lost than plainly; with a wide
    sum, less is."""
    rounded = deepcopy(backbone).to(dtype)
    patches = noise(backbone, 3, 1)
    with torch.inference_mode():
        wanted = backbone.encode_patches(patches)
        plain = agreement(rounded.encode_patches(patches), wanted).relative_error
        runtime = graphs_of(rounded, make_pass=partial(FusedPass, wide=wide))
        fused = agreement(runtime.encode_patches(patches), wanted).relative_error
    assert fused <= (0.9 if wide else 1.1) * plain + 1e-6


def test_blocks_are_compiled_twice_for_all_counts(molmo1: Vectors) -> None:
    """Once for one crop and once for more: beyond torch's limit they would silently run eager."""
    backbone = random_backbone(molmo1.family, CPU, torch.float32)
    compiled: list[object] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        compiled.append(graph)
        return graph.forward

    runtime = graphs_of(backbone, max_crops=11, make_pass=lambda b: CompiledPass(b, counting))
    with torch.inference_mode():
        for count in range(11, 0, -1):
            patches = noise(backbone, count, count)
            features = runtime.encode_patches(patches)
            wanted = backbone.encode_patches(patches)
            assert agreement(features, wanted).relative_error <= 1e-5
    assert len(compiled) == 2


class FakeCuda:
    """torch.cuda as the recorder uses it, which knows on which stream work runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = "main"
        for name in ("Stream", "CUDAGraph", "graph_pool_handle", "current_stream", "device"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "stream", self.switch)
        monkeypatch.setattr(torch.cuda, "graph", self.capture)

    class Stream:
        def __init__(self, device: torch.device) -> None:
            self.waited_for: list[object] = []

        def wait_stream(self, other: object) -> None:
            self.waited_for.append(other)

    class CUDAGraph:
        def replay(self) -> None:
            raise AssertionError("not to be replayed here")

    main = Stream(CPU)

    def graph_pool_handle(self) -> object:
        return "the pool"

    def current_stream(self) -> Stream:
        return self.main

    @contextmanager
    def device(self, device: torch.device) -> Iterator[None]:
        yield

    @contextmanager
    def switch(self, stream: Stream) -> Iterator[None]:
        self.on = "side"
        yield
        self.on = "main"

    @contextmanager
    def capture(
        self, graph: CUDAGraph, *, pool: object, stream: Stream, capture_error_mode: str
    ) -> Iterator[None]:
        assert (pool, capture_error_mode) == ("the pool", "thread_local")
        assert self.main in stream.waited_for
        assert stream in self.main.waited_for
        self.on = "capture"
        yield
        self.on = "main"


def test_work_is_warm_before_it_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the stream of the capture, which waits for earlier work and is waited for; one pool."""
    cuda = FakeCuda(monkeypatch)
    ran: list[str] = []
    record = CudaRecorder(CPU)
    for _ in range(2):
        record(lambda: ran.append(cuda.on))
    assert ran == 2 * [*["side"] * WARM_UP_PASSES, "capture"]


def test_cuda_prefers_graphs_and_never_compiles_unasked() -> None:
    """Plain graphs come first, eager always works, and compiling is only there by name."""
    cuda = torch.device("cuda")
    names = available(cuda, torch.bfloat16)
    assert (names[0], names[-1]) == ("cuda-graphs", "eager")
    assert "compiled" not in names
    assert "compiled" in on_request(cuda)
