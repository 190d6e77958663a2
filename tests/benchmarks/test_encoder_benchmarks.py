from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support.encoders import small_encoder
from torch import Tensor

from app.core.config import make_config
from app.core.families import family_named
from app.core.geometry import Size
from app.core.plan import make_plan
from app.core.profile_file import load_profile
from app.encoder.backbone import VisionBackbone
from app.encoder.fidelity import compare
from app.encoder.loading import reference_of
from app.encoder.preprocess import image_to_patches
from app.encoder.random_weights import random_backbone
from app.encoder.runtimes.base import Eager
from app.encoder.runtimes.choose import available
from benchmarks import encoder as benchmark
from benchmarks import fidelity, profile
from benchmarks.baselines import as_images
from benchmarks.encoder import compare_variants
from benchmarks.encoder_rows import line
from benchmarks.reference_file import read_reference
from benchmarks.released import Released
from benchmarks.variants import Variant, of_runtime
from tests.encoder.reference import CPU, VECTORS, molmo1_vectors, molmo2_vectors

FAMILIES = {"molmo1": molmo1_vectors().family, "molmo2": molmo2_vectors().family}
FILES = [VECTORS / f"{name}_backbone_tiny.safetensors" for name in FAMILIES]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_file_says_which_family_it_is(name: str) -> None:
    """Dimensions come from its metadata, and all else from the released family."""
    found = read_reference(VECTORS / f"{name}_backbone_tiny.safetensors").family
    wanted = FAMILIES[name]
    assert (found.vit, found.connector, found.crop_size_px) == (
        wanted.vit,
        wanted.connector,
        wanted.crop_size_px,
    )


@pytest.mark.parametrize("path", FILES, ids=FAMILIES)
def test_every_runtime_passes_against_the_reference_files(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In float32, stage by stage; each runtime is named."""
    fidelity.main([str(path)])
    printed = capsys.readouterr().out
    assert all(name in printed for name in available(CPU, torch.float32))
    assert "TOO FAR" not in printed


@pytest.mark.parametrize("output", ["out/features", "out/vit_layer_-9"])
def test_an_output_that_differs_fails_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """Either stage by itself: off by a ten-thousandth is too far in float32."""
    with safe_open(FILES[0], framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors[output] = tensors[output] * 1.0001
    save_file(tensors, tmp_path / "other.safetensors", metadata)
    with pytest.raises(SystemExit, match="too far"):
        fidelity.main([str(tmp_path / "other.safetensors"), "--runtime", "eager"])
    assert "TOO FAR" in capsys.readouterr().out


@pytest.mark.parametrize("name", FAMILIES)
def test_the_released_way_makes_the_same_tokens(name: str) -> None:
    """From the same weights, for several crops, though it computes more of them."""
    family = FAMILIES[name]
    reference = reference_of(family, random_backbone(family, CPU, torch.float32), 5)
    for float32_attention in (False, True):
        runtime = Released(family, CPU, float32_attention=float32_attention)
        found = compare(runtime, reference, torch.float32)
        assert found.holds(torch.float32)
        assert found.tokens.relative_error <= 1e-4


def test_rivals_see_the_crops_that_the_patches_were_cut_from() -> None:
    """An image of just a crop's size comes back as its own pixels."""
    released = family_named("molmo-7b-d-0924")
    law = replace(released.preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    family = replace(released, preprocessing=law)
    pixels = torch.randint(0, 256, (336, 336, 3), dtype=torch.uint8)
    patches = image_to_patches(pixels, make_plan(Size(336, 336), make_config(family)))
    shown = (as_images(patches, family)[1] * 255).round().to(torch.uint8)
    assert torch.equal(shown.permute(1, 2, 0), pixels)


class Wrong:
    """A runtime that computes something else."""

    name = "wrong"

    def __init__(self, backbone: VisionBackbone) -> None:
        self._eager = Eager(backbone)
        self.connect = self._eager.connect

    def encode_patches(self, patches: Tensor) -> Tensor:
        return self._eager.encode_patches(patches) * 1.1


def test_the_table_holds_every_variant_or_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong one has its error and no latency, a missing one its reason, the rest are compared
    with ours over the same rounds."""
    family = FAMILIES["molmo1"]

    def wrong() -> Variant:
        runtime = Wrong(random_backbone(family, CPU, torch.float32))
        return of_runtime(runtime, torch.float32, torch.float32)

    def absent() -> Variant:
        raise ModuleNotFoundError("No module named 'absent'")

    def makers(*_: object) -> dict[str, Callable[[], Variant]]:
        return {"wrong": wrong, "absent": absent, **real(family, CPU, torch.float32, ["eager"])}

    real = benchmark.makers_of
    monkeypatch.setattr(benchmark, "makers_of", makers)
    monkeypatch.setattr("benchmarks.passes.matmul_gflop_per_s", lambda *_, **__: 1e6)
    rows, missing = compare_variants(family, CPU, torch.float32, (1, 2), rounds=3, budget_s=60)
    assert missing == {"absent": "ModuleNotFoundError: No module named 'absent'"}
    assert len(rows) == 2 * 2 * 2  # variants, counts, scopes
    for row in rows:
        assert row.fidelity is not None
        if row.variant == "wrong":
            assert not row.passes
            assert row.samples_ms == ()
            assert "no latency" in line(row)
        else:
            assert row.passes
            assert len(row.samples_ms) == 3
            assert row.ms is not None
            assert row.floor_ms == pytest.approx(row.flops / 1e12)
            assert row.fraction == pytest.approx(row.flops / 1e12 / row.ms.p50)


def test_a_profile_without_a_pass_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command fails and says so; with time for a pass, what it measured is there."""
    monkeypatch.setattr("benchmarks.profile.load_encoder", lambda *_, **__: small_encoder())
    monkeypatch.setattr("app.encoder.measure.matmul_gflop_per_s", lambda device, dtype: 500.0)
    monkeypatch.setattr("app.encoder.measure.copy_gb_per_s", lambda device: 20.0)
    asked = ["--out", str(tmp_path), "--counts", "1", "--repeats", "2", "--budget-s"]
    with pytest.raises(SystemExit, match="nothing was measured"):
        profile.main([*asked, "0"])
    assert list(tmp_path.iterdir()) == []
    profile.main([*asked, "60"])
    (saved,) = tmp_path.iterdir()
    assert [entry.vision_ms.samples for entry in load_profile(saved).entries] == [2]
