from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from app.encoder.network.backbone import VisionBackbone
from app.encoder.runtimes import graphs
from app.encoder.runtimes.choose import available, on_request
from app.encoder.runtimes.fidelity import agreement
from app.encoder.runtimes.graphs import WARM_UP_PASSES, CudaGraphs, CudaRecorder, Replay
from app.encoder.runtimes.vit_passes import PLAIN, CompiledPass, PartsPass, VitPass, add_within
from app.encoder.synthetic import random_backbone
from tests.encoder.reference import CPU, Vectors

MAX = 3


class RunAgain:
    """Does what a graph does, without CUDA: the same work on the same addresses."""

    def record(self, work: Callable[[], None]) -> Replay:
        return work

    def time_ms(self, replay: Replay) -> float:
        return 0.0


class AddressesOnly(RunAgain):
    """Records as CUDA does: it drops the work, keeps no tensor, and needs all that was read."""

    def record(self, work: Callable[[], None]) -> Replay:
        with ReadStorages() as read:
            work()

        def replay() -> None:
            freed = sum(one() is None for one in read.storages.values())
            assert freed == 0, f"{freed} tensors that the graph reads were freed"

        return replay


class ReadStorages(TorchDispatchMode):
    """Weak references to the memory that operations read and did not make themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, weakref.ref[Any]] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for storage in storages_of((args, kwargs)):
            if storage.data_ptr() not in self._made:
                self.storages.setdefault(storage.data_ptr(), weakref.ref(storage))
        self._made |= {one.data_ptr() for one in storages_of(out)} - self.storages.keys()
        return out


def storages_of(tree: Any) -> list[torch.UntypedStorage]:
    return [one.untyped_storage() for one in tree_leaves(tree) if isinstance(one, Tensor)]


def graphs_of(backbone: VisionBackbone, **options: Any) -> CudaGraphs:
    return CudaGraphs(backbone, **{"max_crops": MAX, "recorder": RunAgain(), **options})


def always(vit: VitPass) -> dict[str, Any]:
    return {"choose_pass": lambda crops, time_ms: vit}


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
        name = "counting"

        def __call__(self, patches: Tensor, into: Tensor) -> None:
            assert len(patches) == len(into)
            recorded.append(len(patches))

    class Recorder(RunAgain):
        def record(self, work: Callable[[], None]) -> Replay:
            work()
            return lambda: None

    graphs_of(backbone, recorder=Recorder(), **always(Pass()))
    assert recorded == [3, 2, 1]


def test_more_crops_than_a_graph_holds_are_split_evenly(backbone: VisionBackbone) -> None:
    """No graph is captured in vain: 4 crops are 2 × 2, not 3 + 1."""
    run: list[int] = []

    class Pass:
        name = "counting"

        def __call__(self, patches: Tensor, into: Tensor) -> None:
            run.append(len(patches))

    runtime = graphs_of(backbone, **always(Pass()))
    with torch.inference_mode():
        runtime.encode_patches(noise(backbone, 4, 0))
    assert run == [2, 2]


def test_what_a_graph_reads_lives_as_long_as_the_runtime(backbone: VisionBackbone) -> None:
    """A graph keeps addresses alone, so that what was freed since would be read all the same."""
    own = deepcopy(backbone)
    runtime = graphs_of(own, recorder=AddressesOnly())
    inputs = [noise(own, crops, 0) for crops in (1, 2, 3, 5)]
    del own
    gc.collect()
    with torch.inference_mode():
        for patches in inputs:
            runtime.encode_patches(patches)


def test_a_pass_that_is_dropped_after_its_capture_is_noticed(backbone: VisionBackbone) -> None:
    """The recorder of the test before finds the fault that it is there for."""
    replay = AddressesOnly().record(scaled_by(torch.ones(3)))
    with pytest.raises(AssertionError, match="1 tensors that the graph reads were freed"):
        replay()


def scaled_by(factor: Tensor) -> Callable[[], None]:
    return lambda: torch.zeros(3).mul_(factor).sum()


def test_no_cyclic_garbage_is_collected_during_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """It might free another graph, which ends the capture; afterwards it is as it was."""
    cuda = FakeCuda(monkeypatch)
    record = CudaRecorder(CPU).record
    seen: list[tuple[str, bool]] = []
    record(lambda: seen.append((cuda.on, gc.isenabled())))
    assert seen[-1] == ("capture", False)
    assert gc.isenabled()


def test_patches_written_into_the_buffer_are_not_copied(backbone: VisionBackbone) -> None:
    """Patches that were cut straight into a graph's input give their own features."""
    runtime = graphs_of(backbone)
    for crops in (2, 1, MAX, MAX + 1):
        patches = noise(backbone, crops, crops)
        with torch.inference_mode():
            buffer = runtime.input_for(crops)
            buffer.copy_(patches)
            with ReadStorages() as read:
                features = runtime.encode_patches(buffer)
            wanted = backbone.encode_patches(patches)
        assert agreement(features, wanted).relative_error <= 1e-5
        reads_the_callers = patches.untyped_storage().data_ptr() in read.storages
        assert not reads_the_callers
        assert runtime.input_for(crops).shape == patches.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_pass_of_parts_is_nearer_than_the_plain_network(
    backbone: VisionBackbone, dtype: torch.dtype
) -> None:
    """Its sum over the blocks is float32, so that less is lost than plainly in the same dtype."""
    rounded = deepcopy(backbone).to(dtype)
    patches = noise(backbone, 3, 1)
    with torch.inference_mode():
        wanted = backbone.encode_patches(patches)
        plain = agreement(rounded.encode_patches(patches), wanted).relative_error
        runtime = graphs_of(rounded)
        found = agreement(runtime.encode_patches(patches), wanted).relative_error
    has_narrow_sum = dtype == torch.bfloat16
    assert found <= (0.9 if has_narrow_sum else 1.1) * plain + 1e-6


def test_biases_are_added_wherever_the_sum_is_read(backbone: VisionBackbone) -> None:
    """The products leave their biases out; every norm and every feature that is read has them."""
    biased = deepcopy(backbone)
    for name, parameter in biased.named_parameters():
        if name.endswith(".bias"):
            with torch.inference_mode():
                parameter.copy_(torch.linspace(-2, 2, parameter.numel()))
    within = PartsPass(biased, replace(PLAIN, add_product=add_within))
    patches = noise(biased, 2, 3)
    with torch.inference_mode():
        wanted = biased.encode_patches(patches)
        for vit in (PartsPass(biased, PLAIN), within):
            features = torch.empty_like(wanted)
            vit(patches, features)
            assert agreement(features, wanted).relative_error <= 1e-5


def test_blocks_are_compiled_twice_for_all_counts(molmo1: Vectors) -> None:
    """Once for one crop and once for more: beyond torch's limit they would silently run eager."""
    backbone = random_backbone(molmo1.family, CPU, torch.float32)
    compiled: list[object] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        compiled.append(graph)
        return graph.forward

    vit = CompiledPass(backbone, counting)
    runtime = graphs_of(backbone, max_crops=11, **always(vit))
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
        graphs._capture_stream.cache_clear()
        for name in (
            *("Stream", "CUDAGraph", "graph_pool_handle", "current_stream", "set_stream", "device"),
        ):
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

    def set_stream(self, stream: Stream) -> None:
        assert stream is self.main
        self.on = "main"

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
    recorder = CudaRecorder(CPU)
    for _ in range(2):
        recorder.record(lambda: ran.append(cuda.on))
    assert ran == 2 * [*["side"] * WARM_UP_PASSES, "capture"]


def test_cuda_prefers_graphs_and_never_compiles_unasked() -> None:
    """Plain graphs come first, eager always works, and compiling is only there by name."""
    cuda = torch.device("cuda")
    names = available(cuda, torch.bfloat16)
    assert (names[0], names[-1]) == ("cuda-graphs", "eager")
    assert "compiled" not in names
    assert "compiled" in on_request(cuda)
