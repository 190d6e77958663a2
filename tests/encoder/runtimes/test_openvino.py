from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import EncoderUnavailable
from app.core.plan.config import make_config
from app.encoder.device.device import multiplies_int8
from app.encoder.runtimes import choose as choosing
from app.encoder.runtimes.choose import COARSER, MAKERS, available, choose, on_request
from app.encoder.runtimes.fidelity import compare, plain_reference
from app.encoder.runtimes.openvino import input_peaks, openvino_installed, quantise
from app.encoder.synthetic import (
    check_sample,
    profile_plans,
    random_backbone,
    synthetic_crops,
)
from tests.encoder.reference import CPU, Vectors

ROOT = Path(__file__).parents[3]
DTYPES = (torch.float32, torch.bfloat16)
needs_openvino = pytest.mark.skipif(not openvino_installed(), reason="openvino is optional")
needs_int8 = pytest.mark.skipif(
    not (openvino_installed() and multiplies_int8()), reason="int8 needs openvino and a CPU for it"
)


@pytest.fixture(params=["molmo1", "molmo2"])
def vectors(request: pytest.FixtureRequest) -> Vectors:
    found: Vectors = request.getfixturevalue(request.param)
    return found


@needs_int8
@pytest.mark.parametrize("dtype", DTYPES)
def test_int8_is_as_near_as_int8_must_be_and_no_nearer(
    vectors: Vectors, dtype: torch.dtype
) -> None:
    """It keeps its own limit, and would not pass for what bfloat16 or float32 must reach."""
    backbone = random_backbone(vectors.family, CPU, dtype)
    (plan,) = profile_plans(make_config(vectors.family), [5])
    inputs = synthetic_crops(plan, CPU, dtype, seed=1)  # not the noise it was fitted to
    reference = plain_reference(backbone, inputs)
    sample = check_sample(vectors.family, CPU, dtype)
    found = compare(MAKERS["openvino-int8"](backbone, sample), reference, dtype)
    assert found.holds(torch.int8)
    assert not found.vit.holds(dtype)


@needs_int8
def test_int8_is_used_when_asked_for_and_only_then(vectors: Vectors) -> None:
    """Its name says what it is, and the automatic choice never meets it."""
    make = partial(random_backbone, vectors.family, CPU, torch.bfloat16)
    sample = check_sample(vectors.family, CPU, torch.bfloat16)
    runtime, _ = choose("openvino-int8", make, sample, CPU, torch.bfloat16)
    assert runtime.name == "openvino-int8"
    for dtype in DTYPES:
        assert not set(available(CPU, dtype)) & set(COARSER)
    assert set(on_request(CPU)) == set(COARSER)


def test_without_openvino_there_is_the_rest(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for by name it is refused, with what there is instead."""
    monkeypatch.setattr(choosing, "openvino_installed", lambda: False)
    assert not [name for name in available(CPU, torch.float32) if "openvino" in name]
    make = partial(random_backbone, vectors.family, CPU, torch.float32)
    sample = check_sample(vectors.family, CPU, torch.float32)
    for name in ("openvino", "openvino-int8"):
        with pytest.raises(EncoderUnavailable, match="eager"):
            choose(name, make, sample, CPU, torch.float32)


@needs_openvino
def test_openvino_is_imported_when_used_and_reports_nothing(tmp_path: Path) -> None:
    """Its statistics package never loads, and no identifier is left in the home directory."""
    program = """
import sys
import app.encoder.runtimes.choose
from app.encoder.runtimes.openvino import import_openvino
assert "openvino" not in sys.modules, "imported unasked"
import_openvino().Core()
assert "openvino.tools.ovc.telemetry_stub" in sys.modules
print([name for name, module in sys.modules.items() if module and "openvino_telemetry" in name])
"""
    # In CI the statistics package holds back by itself, which would prove nothing.
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert told.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())


@given(st.integers(1, 9), st.integers(1, 40), st.floats(1e-6, 1e6), st.integers(0, 99))
def test_a_quantised_weight_is_within_half_a_step(
    outputs: int, inputs: int, size: float, seed: int
) -> None:
    """For each output, whose greatest weight is the last step; an output of zeros stays zero."""
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed)) * size
    weight[0] = 0
    steps, scale = quantise(weight)
    assert steps.dtype == torch.int8
    assert bool(((steps * scale - weight).abs() <= 0.501 * scale).all())
    assert steps[1:].abs().amax(1).eq(127).all()
    assert not steps[0].any()


def test_peaks_are_those_of_each_linear_layer_of_the_blocks(vectors: Vectors) -> None:
    """Four a block, none of them zero, and the backbone left without hooks."""
    backbone = random_backbone(vectors.family, CPU, torch.float32)
    peaks = input_peaks(backbone.vit, check_sample(vectors.family, CPU, torch.float32).patches)
    assert len(peaks) == 4 * len(backbone.vit.blocks)
    assert min(peaks.values()) > 0
    assert not any(module._forward_pre_hooks for module in backbone.modules())


def test_int8_is_offered_only_where_its_sums_do_not_saturate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A CPU with AVX2 alone has no int8, whatever is installed."""
    monkeypatch.setattr(choosing, "openvino_installed", lambda: True)
    monkeypatch.setattr("app.encoder.device.device.CPU_INFO", tmp_path / "cpuinfo")
    for flags, offered in (("avx2 fma", ()), ("avx2 avx512_vnni", ("openvino-int8",))):
        (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
        assert on_request(CPU) == offered
