"""What only a GPU can show. Needs torch and pytest alone, as benchmarks/gpu.sh runs it."""

from __future__ import annotations

import gc
import inspect
import time
from dataclasses import replace

import pytest
import torch

from app.core.plan.config import make_config
from app.core.plan.families import Family, family_named
from app.core.plan.geometry import Size
from app.core.plan.plan import make_plan
from app.encoder.encoder import Encoder, HostImage
from app.encoder.launching import launch
from app.encoder.loading import load_encoder
from app.encoder.network.backbone import VisionBackbone
from app.encoder.network.preprocess import MAX_CUDA_SHRINKING, image_to_patches
from app.encoder.runtimes.base import Eager
from app.encoder.runtimes.choose import MAKERS
from app.encoder.runtimes.fidelity import Reference, agreement, compare, plain_reference
from app.encoder.runtimes.graphs import CudaGraphs, CudaRecorder
from app.encoder.synthetic import check_sample, noise_crops, random_backbone

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def small(name: str) -> Family:
    """A family with crops of the real size and a network of few blocks."""
    family = family_named(name)
    vit = replace(family.vit, blocks_stored=4, feature_layers=(3, 1))
    return replace(family, vit=vit)


def reference_of(family: Family, backbone: VisionBackbone, crops: int) -> Reference:
    """What the plain network makes of noise in each state of padding."""
    dtype = backbone.vit.positional_embedding.dtype
    return plain_reference(backbone, noise_crops(family, CUDA, dtype, crops))


def liveness_checks() -> list[bool]:
    """Both, where torch can check the lifetime of all that a graph reads."""
    known = "check_input_liveness" in inspect.signature(torch.cuda.graph.__init__).parameters
    return [False, True] if known else [False]


@pytest.mark.parametrize("checked", liveness_checks())
@torch.inference_mode()
def test_what_graphs_read_is_never_freed(checked: bool) -> None:
    """Features stay the same after other tensors have taken all memory that was given back."""
    family = small("molmoe-1b-0924")
    backbone = random_backbone(family, CUDA, torch.bfloat16)
    patches = check_sample(family, CUDA, torch.bfloat16).patches[:2]
    wanted = backbone.encode_patches(patches).clone()
    recorder = CudaRecorder(CUDA, check_input_liveness=checked)
    runtime = CudaGraphs(backbone, max_crops=2, recorder=recorder)
    del backbone
    gc.collect()
    before = runtime.encode_patches(patches).clone()
    nan = [wanted.new_full((size,), float("nan")) for size in (1024, 2048, 3072, 4096) * 200]
    after = runtime.encode_patches(patches).clone()
    assert len(nan) == 800
    assert torch.equal(after, before)
    assert agreement(after, wanted).relative_error <= 2e-2


@pytest.mark.parametrize("model", ["molmoe-1b-0924", "molmo2-4b"])
def test_float8_comes_as_near_as_it_must(model: str) -> None:
    """It runs where the card multiplies float8; it is never taken unasked."""
    if torch.cuda.get_device_capability(CUDA) < (8, 9):
        pytest.skip("no float8 in hardware")
    family = small(model)
    backbone = random_backbone(family, CUDA, torch.bfloat16)
    references = [reference_of(family, backbone, count) for count in (1, 5, 13)]
    runtime = MAKERS["cuda-graphs-fp8"](backbone, check_sample(family, CUDA, torch.bfloat16))
    for reference in references:
        with torch.inference_mode():
            found = compare(runtime, reference, torch.bfloat16)
        assert found.vit.holds(torch.float8_e4m3fn), found


@pytest.mark.parametrize("size", [(640, 480), (111, 4000), (3000, 2000)])
@pytest.mark.parametrize("model", ["molmo-7b-d-0924", "molmo2-4b"])
def test_patches_made_on_the_device_are_those_of_the_cpu(model: str, size: tuple[int, int]) -> None:
    """Letterbox and stretch: all values within rounding, but for levels at a tie."""
    plan = make_plan(Size(*size), make_config(family_named(model)))
    pixels = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8)
    wanted = image_to_patches(pixels, plan)
    found = image_to_patches(pixels.to(CUDA), plan).cpu()
    near = (found - wanted).abs() <= 1e-4
    assert near.float().mean() > 0.999
    assert (found - wanted).abs().max() <= 2.5 / 127.5


def test_images_too_long_for_the_kernel_are_resized_too() -> None:
    """Their shrinking is above what torch's CUDA kernel takes."""
    plan = make_plan(Size(40_000, 400), make_config(family_named("molmo-7b-d-0924")))
    assert 1 / plan.global_canvas.scale_x > MAX_CUDA_SHRINKING
    pixels = torch.randint(0, 256, (400, 40_000, 3), dtype=torch.uint8)
    found = image_to_patches(pixels.to(CUDA), plan).cpu()
    torch.testing.assert_close(found, image_to_patches(pixels, plan), rtol=0, atol=5e-4)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    family = small("molmoe-1b-0924")
    return load_encoder(family, device="cuda", dtype="bfloat16")


def test_a_staged_image_crosses_without_waiting(encoder: Encoder) -> None:
    """Uploading, cutting and encoding never make the host wait for the device."""
    plan = make_plan(Size(640, 480), make_config(encoder.family))
    pixels = torch.randint(0, 256, (480, 640, 3), dtype=torch.uint8)
    first = encoder.run(encoder.prepare(pixels, plan)).tokens.clone()
    staged = encoder.stage(pixels, plan)
    assert isinstance(staged, HostImage)
    assert staged.memory.is_pinned()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        tokens = encoder.run(encoder.upload(staged)).tokens
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert agreement(tokens, first).relative_error <= 1e-3


def test_a_second_pass_is_launched_while_the_first_is_under_way(encoder: Encoder) -> None:
    """The host waits for nothing in between, and no image gets what is of another."""
    sizes = ((640, 480), (300, 500), (90, 90), (1400, 1000))
    images = [
        (
            torch.randint(0, 256, (height, width, 3), dtype=torch.uint8),
            make_plan(Size(width, height), make_config(encoder.family)),
        )
        for width, height in sizes
    ]
    alone = [encoder.run(encoder.prepare(*image)).tokens.cpu() for image in images]
    passes = ([0], [1, 2], [3], [0, 1, 2])
    for numbers in passes:  # what is kept by tiling is there afterwards
        launch(encoder, [encoder.stage(*images[number]) for number in numbers]).wait()
    torch.cuda.set_sync_debug_mode("error")
    try:
        staged = [[encoder.stage(*images[number]) for number in numbers] for numbers in passes]
        launched = [launch(encoder, batch) for batch in staged]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for numbers, one in zip(passes, launched, strict=True):
        for number, image in zip(numbers, one.result(), strict=True):
            assert image.tokens.is_pinned()
            assert agreement(image.tokens, alone[number]).relative_error <= 2e-2


def test_timed_preparation_waits_and_tells_the_transfer(encoder: Encoder) -> None:
    """The copy is a part of what the host waited for, and the crops are those of `prepare`."""
    plan = make_plan(Size(640, 480), make_config(encoder.family))
    pixels = torch.randint(0, 256, (480, 640, 3), dtype=torch.uint8)
    encoder.prepare_timed(pixels, plan)
    started = time.perf_counter()
    prepared, transfer_ms = encoder.prepare_timed(pixels, plan)
    waited_ms = (time.perf_counter() - started) * 1e3
    assert torch.cuda.current_stream().query()
    assert transfer_ms is not None
    assert 0 < transfer_ms < waited_ms
    assert torch.equal(prepared.patches, encoder.prepare(pixels, plan).patches)


def test_cuda_graphs_are_what_runs_by_default(encoder: Encoder) -> None:
    """And they were checked against the plain network."""
    assert encoder.runtime.name == "cuda-graphs"
    assert encoder.fidelity is not None
    assert encoder.fidelity.holds(torch.bfloat16)


def test_the_tokens_are_those_of_the_cpu(encoder: Encoder) -> None:
    """The same weights, image and plan on the other device."""
    plan = make_plan(Size(400, 300), make_config(encoder.family))
    pixels = torch.randint(0, 256, (300, 400, 3), dtype=torch.uint8)
    exact = random_backbone(encoder.family, CPU, torch.float32)
    graphs = MAKERS["cuda-graphs"](
        exact.to(CUDA), check_sample(encoder.family, CUDA, torch.float32)
    )
    on_cuda = Encoder(encoder.family, graphs, CUDA, torch.float32, "random")
    found = on_cuda.run(on_cuda.prepare(pixels, plan)).tokens.cpu()
    eager = Eager(exact.to(CPU))
    on_cpu = Encoder(encoder.family, eager, CPU, torch.float32, "random")
    wanted = on_cpu.run(on_cpu.prepare(pixels, plan)).tokens
    assert agreement(found, wanted).relative_error <= 1e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["cuda-graphs", "eager"])
@pytest.mark.parametrize("model", ["molmoe-1b-0924", "molmo2-4b"])
def test_every_runtime_agrees_at_every_count(model: str, name: str, dtype: torch.dtype) -> None:
    """In any order of counts, also beyond what one graph holds."""
    family = small(model)
    backbone = random_backbone(family, CUDA, dtype)
    counts = (5, 1, 13, 2, 27, 8, 1)
    references = [reference_of(family, backbone, count) for count in counts]
    runtime = MAKERS[name](backbone, check_sample(family, CUDA, dtype))
    for reference in references:
        with torch.inference_mode():
            found = compare(runtime, reference, dtype)
        assert found.vit.holds(dtype), (len(reference.patches), found)
