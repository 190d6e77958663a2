from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.core.errors import EncoderMismatch, EncoderUnavailable
from app.core.plan.config import make_config
from app.core.plan.families import family_named
from app.core.plan.geometry import Grid, Size
from app.core.plan.plan import CropPlan, make_plan
from app.core.plan.tokens import TokenKind, token_sequence
from app.cores import available_cores
from app.encoder.device import device as devices
from app.encoder.encoder import Encoder, join
from app.encoder.loading import load_encoder
from app.encoder.synthetic import profile_plans, synthetic_crops
from tests.encoder.reference import CPU, Vectors, load_tiny, pattern_image, write_checkpoint


def plan_of(encoder: Encoder, width: int, height: int) -> CropPlan:
    return make_plan(Size(width, height), make_config(encoder.family))


def test_an_image_becomes_the_tokens_of_its_plan(tiny_encoder: Encoder) -> None:
    """One token per patch position of the prompt, at just those positions."""
    plan = plan_of(tiny_encoder, 150, 90)
    prepared = tiny_encoder.prepare(pattern_image(90, 150, 2), plan)
    result = tiny_encoder.run(prepared)
    assert prepared.total_crops == plan.total_crops
    assert result.tokens.shape == (plan.tokens.patch, 24)
    sequence = token_sequence(plan.grid, plan.config)
    assert all(sequence[at] is TokenKind.PATCH for at in result.positions.tolist())
    assert not result.tokens.requires_grad


def test_the_mask_order_matters_and_can_be_chosen(tiny_encoder: Encoder) -> None:
    """A padded image has other tokens if every crop is told its own padding."""
    plan = plan_of(tiny_encoder, 150, 90)
    image = pattern_image(90, 150, 2)
    aligned = replace(tiny_encoder, mask_order="aligned")
    released_tokens = tiny_encoder.run(tiny_encoder.prepare(image, plan)).tokens
    aligned_tokens = aligned.run(aligned.prepare(image, plan)).tokens
    assert not torch.allclose(released_tokens, aligned_tokens)


def test_a_batch_gives_what_each_image_gives_alone(tiny_encoder: Encoder) -> None:
    """Images in one pass do not touch each other, and every one gets its own tokens back."""
    prepared = [
        tiny_encoder.prepare(pattern_image(h, w, 1), plan_of(tiny_encoder, w, h))
        for w, h in ((150, 90), (84, 84), (60, 200))
    ]
    alone = [tiny_encoder.run(one) for one in prepared]
    together = tiny_encoder.run(join(prepared))
    parts = together.tokens.split([len(one.tokens) for one in alone])
    for part, one in zip(parts, alone, strict=True):
        torch.testing.assert_close(part, one.tokens, rtol=1e-5, atol=1e-5)
    assert torch.equal(together.positions, torch.cat([one.positions for one in alone]))


def test_batches_keep_missing_patches_missing(molmo2: Vectors) -> None:
    """Windows at the odd edge of a second image do not reach into the first."""
    encoder = load_tiny(molmo2.family)
    image = pattern_image(140, 200, 4)
    prepared = encoder.prepare(image, plan_of(encoder, 200, 140))
    first, second = encoder.run(join([prepared, prepared])).tokens.chunk(2)
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)


def test_stage_times_belong_to_one_pass(tiny_encoder: Encoder) -> None:
    """The two parts of a pass add up to it; no figure comes from another pass."""
    plan = plan_of(tiny_encoder, 150, 90)
    prepared = tiny_encoder.prepare(pattern_image(90, 150, 2), plan)
    times = tiny_encoder.run_timed(prepared)
    assert min(times.vit_ms, times.connector_ms) > 0
    assert times.vit_ms + times.connector_ms == pytest.approx(times.vision_ms)


def test_timed_preparation_gives_the_same_crops(tiny_encoder: Encoder) -> None:
    """And where the host is the device, no transfer, not even of 0 ms."""
    plan = plan_of(tiny_encoder, 150, 90)
    image = pattern_image(90, 150, 2)
    timed, transfer_ms = tiny_encoder.prepare_timed(image, plan)
    assert torch.equal(timed.patches, tiny_encoder.prepare(image, plan).patches)
    assert transfer_ms is None


def test_plans_for_another_encoder_are_refused(tiny_encoder: Encoder) -> None:
    """Another family or crop side does not fit; other margins and max_crops do."""
    family = tiny_encoder.family
    other_margins = make_config(family, overlap_margins=(2, 0), max_crops=3)
    tiny_encoder.check(make_plan(Size(150, 90), other_margins))
    with pytest.raises(EncoderMismatch, match="molmo-72b-0924"):
        tiny_encoder.check(make_plan(Size(150, 90), make_config(family_named("molmo-72b-0924"))))
    with pytest.raises(EncoderMismatch, match="112 px"):
        tiny_encoder.check(make_plan(Size(150, 90), make_config(family, crop_size_px=112)))


def test_a_checkpoint_makes_an_encoder(molmo1: Vectors, tmp_path: Path) -> None:
    """The factory loads the checkpoint where there is one and says what it has."""
    folder = write_checkpoint(tmp_path, molmo1.weights)
    encoder = load_tiny(molmo1.family, checkpoint=folder)
    assert encoder.weights == "checkpoint"


def test_random_weights_follow_the_seed(molmo1: Vectors) -> None:
    """Same seed, same weights; another seed, others; and the encoder says they are random."""
    encoders = [load_tiny(molmo1.family, seed=seed) for seed in (1, 1, 2)]
    (plan,) = profile_plans(make_config(molmo1.family), [2])
    crops = synthetic_crops(plan, CPU, torch.float32)
    one, same, other = (encoder.run(crops).tokens for encoder in encoders)
    assert encoders[0].weights == "random"
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_full_dimensions_run() -> None:
    """Molmo-7B-D with random weights turns one crop into finite tokens of a sane size."""
    family = family_named("molmo-7b-d-0924")
    encoder = load_encoder(family, device="cpu", threads=available_cores())
    (plan,) = profile_plans(make_config(family), [1])
    tokens = encoder.run(synthetic_crops(plan, encoder.device, encoder.dtype)).tokens
    assert tokens.shape == (144, 3584)
    assert tokens.isfinite().all()
    assert 0.1 < tokens.float().std() < 100


def test_device_and_dtype_are_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """bfloat16 only on CPUs that multiply it; CUDA is never made up."""
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "CPU_INFO", info)
    info.write_text("model name\t: Some CPU\nflags\t\t: fpu avx512f avx512_bf16\n")
    assert devices.choose_dtype("auto", CPU) == torch.bfloat16
    assert devices.choose_dtype("float32", CPU) == torch.float32
    assert devices.device_name(CPU).startswith("Some CPU (")
    info.write_text("flags\t\t: fpu avx2\n")
    assert devices.choose_dtype("auto", CPU) == torch.float32
    info.unlink()
    assert devices.choose_dtype("auto", CPU) == torch.float32
    assert devices.device_name(CPU).startswith("CPU (")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.choose_device("auto") == CPU
    with pytest.raises(EncoderUnavailable):
        devices.choose_device("cuda")


@pytest.mark.parametrize(
    ("capability", "bfloat16", "chosen"),
    [
        ((9, 0), True, torch.bfloat16),
        ((7, 5), False, torch.float16),  # T4
        ((7, 0), False, torch.float16),  # V100
        ((6, 1), False, torch.float32),  # no tensor cores: float16 would be slower
    ],
)
def test_gpus_without_bfloat16_compute_in_float16(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    bfloat16: bool,
    chosen: torch.dtype,
) -> None:
    """Emulated bfloat16 does not count, as it runs at the rate of float32."""

    def supported(*, including_emulation: bool) -> bool:
        return bfloat16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.choose_dtype("auto", torch.device("cuda", 0)) == chosen
    assert devices.choose_dtype("float32", torch.device("cuda", 0)) == torch.float32


def test_the_encoder_needs_no_web_stack() -> None:
    """Importing it must work on a bare machine: only torch, numpy and our core;
    safetensors only to read a checkpoint."""
    script = (
        "import sys; "
        "missing = ('fastapi', 'pydantic', 'PIL', 'safetensors', 'psutil', 'pynvml'); "
        "sys.modules.update(dict.fromkeys(missing)); "
        "import app.encoder.loading, app.encoder.measuring.measure; "
        "outside = [m for m in sys.modules if m.startswith('app.') "
        "and m.split('.')[1] not in ('core', 'cores', 'encoder')]; "
        "assert not outside, outside"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)


def test_grids_are_reused(tiny_encoder: Encoder) -> None:
    """The windows of a grid are built once; images of one shape share them."""
    from app.encoder.encoder import token_layout

    config = make_config(tiny_encoder.family)
    assert token_layout(Grid(2, 3), config, CPU)[0] is token_layout(Grid(2, 3), config, CPU)[0]
