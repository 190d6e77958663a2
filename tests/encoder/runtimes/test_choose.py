"""The choice of a runtime: by its check, with reasons, and never two backbones at once."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from app.core.errors import EncoderUnavailable, OutOfDeviceMemory, RuntimesDisagree
from app.encoder.device import DtypeChoice
from app.encoder.device.device import exact_float32
from app.encoder.network.backbone import VisionBackbone
from app.encoder.runtimes import choose as choosing
from app.encoder.runtimes.base import Maker, Runtime, Sample
from app.encoder.runtimes.choose import choose
from app.encoder.runtimes.fidelity import (
    Agreement,
    StageAgreement,
    agreement,
    compare,
    plain_reference,
)
from app.encoder.synthetic import check_sample, random_backbone
from tests.encoder.reference import CPU, Vectors, load_tiny


class Off:
    """A plain network in float32 whose features are off by some share, in bfloat16 alone."""

    def __init__(self, name: str, share: float, backbone: VisionBackbone) -> None:
        self.name = name
        self._dtype = backbone.vit.positional_embedding.dtype
        self._exact = backbone.float()
        self._share = 0.0 if self._dtype == torch.float32 else share

    def encode_patches(self, patches: Tensor) -> Tensor:
        features = self._exact.encode_patches(patches.float())
        # At right angles to what is right, so that the relative error is just that share.
        return (features + self._share * features.roll(1, -1)).to(self._dtype)

    def connect(self, features: Tensor, pool_index: Tensor, padding_state: Tensor) -> Tensor:
        return self._exact.connect(features.float(), pool_index, padding_state)


def off(name: str, share: float) -> Maker:
    return lambda backbone, _: Off(name, share, backbone)


def failing(error: Exception) -> Maker:
    def make(backbone: VisionBackbone, sample: Sample) -> Runtime:
        raise type(error)(*error.args)  # anew: one that is kept keeps the frames it went through

    return make


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are made often here: of few values, and without a collection after each."""
    monkeypatch.setattr("app.encoder.synthetic.POOL", 65_537)
    monkeypatch.setattr(choosing, "give_back", lambda: None)


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def only(**makers: Maker) -> None:
        monkeypatch.setattr(choosing, "MAKERS", makers)
        monkeypatch.setattr(choosing, "available", lambda device, dtype: tuple(makers))

    return only


def chosen(
    vectors: Vectors, choice: str = "auto", dtype: torch.dtype = torch.bfloat16
) -> tuple[Runtime, StageAgreement | None]:
    make = partial(random_backbone, vectors.family, CPU, dtype)
    return choose(choice, make, check_sample(vectors.family, CPU, dtype), CPU, dtype)  # type: ignore[arg-type]  # fakes


def test_where_all_are_over_the_limit_the_first_nearer_than_the_plain_network_is_taken(
    molmo1: Vectors, offer: Callable[..., None]
) -> None:
    """Not the nearest, which may be slow; asked for by its name, too."""
    offer(fast=off("fast", 0.05), packed=off("packed", 0.03), eager=off("eager", 0.04))
    for choice in ("auto", "packed"):
        runtime, found = chosen(molmo1, choice)
        assert runtime.name == "packed"
        assert found is not None
        assert found.vit.relative_error > 0.01
    with pytest.raises(RuntimesDisagree, match="fast differs from the plain network"):
        chosen(molmo1, "fast")


def test_what_is_as_far_as_int8_is_never_taken(molmo1: Vectors, offer: Callable[..., None]) -> None:
    """However far the plain network itself is."""
    offer(packed=off("packed", 0.2), eager=off("eager", 0.3))
    with pytest.raises(RuntimesDisagree, match="dtype float32 would"):
        chosen(molmo1)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_automatic_dtype_falls_back_to_float32_and_says_so(
    molmo1: Vectors, offer: Callable[..., None], monkeypatch: pytest.MonkeyPatch, dtype: DtypeChoice
) -> None:
    """A dtype that was asked for stays an error, which says what would work."""
    offer(packed=off("packed", 0.2), eager=off("eager", 0.3))
    monkeypatch.setattr("app.encoder.loading.choose_dtype", lambda *_: getattr(torch, dtype))
    encoder = load_tiny(molmo1.family, dtype="auto")
    assert encoder.dtype == torch.float32
    assert encoder.runtime.encode_patches(torch.zeros(1, 36, 588)).dtype == torch.float32
    assert encoder.note is not None
    assert "it computes in float32" in encoder.note
    assert "packed differs" in encoder.note
    assert encoder.fidelity is not None
    assert encoder.fidelity.holds(torch.float32)
    with pytest.raises(EncoderUnavailable, match="dtype float32 would"):
        load_tiny(molmo1.family, dtype=dtype)


def test_every_reason_is_kept(molmo1: Vectors, offer: Callable[..., None]) -> None:
    """In the error for people and, by runtime, for programs."""
    offer(
        openvino=failing(RuntimeError("no such instruction")),
        packed=failing(ImportError("no such package")),
        eager=off("eager", 0.3),
    )
    with pytest.raises(RuntimesDisagree) as caught:
        chosen(molmo1)
    tried = caught.value.facts["tried"]
    assert list(tried) == ["openvino", "packed", "eager"]
    for name, reason in (("openvino", "instruction"), ("packed", "package"), ("eager", "3.0")):
        assert reason in tried[name]
        assert f"{name} {tried[name]}" in caught.value.detail


def test_where_nothing_works_the_dtype_is_not_blamed(
    molmo1: Vectors, offer: Callable[..., None]
) -> None:
    """No runtime was compared, so none disagrees."""
    offer(eager=failing(RuntimeError("driver too old")))
    with pytest.raises(EncoderUnavailable, match=r"no runtime works .*driver too old") as caught:
        chosen(molmo1)
    assert not isinstance(caught.value, RuntimesDisagree)


def test_memory_that_runs_out_is_told_as_that(molmo1: Vectors, offer: Callable[..., None]) -> None:
    """Also where the next runtime is only too far; one that can be taken is."""
    full = failing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    offer(packed=full, eager=off("eager", 0.3))
    with pytest.raises(OutOfDeviceMemory, match=r"memory.*packed.*2 GiB.*eager differs"):
        chosen(molmo1)
    offer(packed=full, eager=off("eager", 0.0))
    assert chosen(molmo1)[0].name == "eager"


def test_the_last_backbone_is_gone_before_the_next_is_made(
    molmo1: Vectors, offer: Callable[..., None]
) -> None:
    """Whether the runtime failed, or was too far."""
    offer(
        openvino=failing(RuntimeError("no such instruction")),
        packed=off("packed", 0.04),
        compiled=off("compiled", 0.05),
        eager=off("eager", 0.045),
    )
    made: list[weakref.ref[VisionBackbone]] = []

    def make() -> VisionBackbone:
        assert [one for one in made if one() is not None] == []
        backbone = random_backbone(molmo1.family, CPU, torch.bfloat16)
        made.append(weakref.ref(backbone))
        return backbone

    gc.disable()  # or a collection might hide what a frame still held
    try:
        sample = check_sample(molmo1.family, CPU, torch.bfloat16)
        runtime, _ = choose("auto", make, sample, CPU, torch.bfloat16)
    finally:
        gc.enable()
    assert (runtime.name, len(made)) == ("packed", 5)


class Partly:
    """A plain network that is wrong for some inputs alone."""

    name = "partly"

    def __init__(self, wrong: Callable[[Tensor], bool], backbone: VisionBackbone) -> None:
        self.connect = backbone.connect
        self._backbone, self._wrong = backbone, wrong

    def encode_patches(self, patches: Tensor) -> Tensor:
        features = self._backbone.encode_patches(patches)
        if self._wrong(patches):
            features[-1] *= 1.1
        return features


@pytest.mark.parametrize("count", [2, 7, 13])
def test_counts_are_checked_besides_the_sample(molmo1: Vectors, count: int) -> None:
    """A runtime that is wrong at one number of crops, in one crop of them, is found out."""
    backbone = random_backbone(molmo1.family, CPU, torch.float32)
    reference = plain_reference(backbone, check_sample(molmo1.family, CPU, torch.float32))
    runtime = Partly(lambda patches: len(patches) == count, backbone)
    assert compare(runtime, reference, torch.float32).holds(torch.float32)
    counts = choosing.CHECKED_COUNTS["cuda"]
    assert not compare(runtime, reference, torch.float32, counts).holds(torch.float32)


def test_one_crop_that_is_off_does_not_hide_among_the_others(molmo1: Vectors) -> None:
    """The error is the worst crop's: 1 %, in one of nine, is 1 %."""
    backbone = random_backbone(molmo1.family, CPU, torch.float32)
    reference = plain_reference(backbone, check_sample(molmo1.family, CPU, torch.float32))
    runtime = Partly(lambda patches: len(patches) == 9, backbone)
    assert compare(runtime, reference, torch.float32, [9]).vit.relative_error > 0.099


def test_nan_is_never_near() -> None:
    """Neither as a crop among others, nor beside a plain network that is NaN, too."""
    nan = Agreement(float("nan"), float("nan"))
    stages = StageAgreement(nan, nan, nan)
    assert not stages.holds_beside(stages, torch.bfloat16)
    assert not stages.holds(torch.bfloat16)


def test_the_reference_has_no_tf32_and_leaves_the_switches_as_they_were() -> None:
    """By both of torch's switches, of which either may have been set before."""
    matmul = torch.backends.cuda.matmul
    for before in (False, True):
        matmul.allow_tf32 = before
        precision = matmul.fp32_precision
        with exact_float32():
            assert matmul.allow_tf32 is False
            assert matmul.fp32_precision != "tf32"
        assert matmul.allow_tf32 is before
        assert matmul.fp32_precision == precision
    matmul.allow_tf32 = False
    matmul.fp32_precision = "none"
    with exact_float32():
        assert matmul.fp32_precision != "tf32"
    assert matmul.fp32_precision == "none"
    matmul.fp32_precision = "tf32"
    with exact_float32():
        assert matmul.fp32_precision != "tf32"
    assert matmul.fp32_precision == "tf32"
    matmul.allow_tf32 = False
    matmul.fp32_precision = "none"


def test_random_weights_have_biases_and_norms_that_show_faults(
    molmo1: Vectors, molmo2: Vectors
) -> None:
    """No bias is all 0 and no norm all 1, so that whoever drops one is far off."""
    for vectors in (molmo1, molmo2):
        backbone = random_backbone(vectors.family, CPU, torch.float32)
        sample = check_sample(vectors.family, CPU, torch.float32)
        reference = plain_reference(backbone, sample)
        biases = [one for name, one in backbone.named_parameters() if name.endswith(".bias")]
        assert all(0.03 < float(bias.std()) < 0.3 for bias in biases)
        for name, weight in backbone.named_parameters():
            if name.endswith("norm.weight"):
                assert 0.03 < float(weight.std()) < 0.3
        with torch.inference_mode():
            for bias in biases:
                bias.zero_()
        without = plain_reference(backbone, sample)
        assert agreement(without.tokens, reference.tokens).relative_error > 0.05
