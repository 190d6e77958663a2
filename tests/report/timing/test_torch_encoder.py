"""The real encoder as a timing takes it, with a network that is small."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.encoders import small_encoder

from app.core.plan.config import CropConfig, make_config
from app.encoder.encoder import Encoder
from app.encoder.measuring.pacing import WarmupRule
from app.report.dataset.images import open_dataset
from app.report.errors import InvalidDataset
from app.report.timing.component_timing import time_components
from app.report.timing.components import ComponentTiming
from app.report.timing.torch_encoder import TorchEncoder

PHOTO = Path(__file__).parents[3] / "docs" / "samples" / "rocket.jpg"
LIMIT = 10_000_000


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small_encoder()


@pytest.fixture(scope="module")
def config(encoder: Encoder) -> CropConfig:
    return make_config(encoder.family, max_crops=6, overlap_margins=(2, 2))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    shutil.copy(PHOTO, folder / "rocket.jpg")
    with Image.open(PHOTO) as photo:
        photo.resize((336, 224)).save(folder / "small.png")
    return folder


def timed(encoder: TorchEncoder, photos: Path, config: CropConfig) -> ComponentTiming:
    return time_components(
        encoder,
        open_dataset(photos, max_pixels=LIMIT),
        config,
        repeats=2,
        warming=WarmupRule(at_most_s=0),
        max_pixels=LIMIT,
    )


def test_every_component_of_every_pass_is_timed(
    encoder: Encoder, photos: Path, config: CropConfig
) -> None:
    """On a CPU without a transfer; ViT and connector are the parts of vision, pass by pass."""
    timing = timed(TorchEncoder(encoder), photos, config)
    assert [one.subject.image.image_id for one in timing.images] == ["rocket", "small"]
    for one in timing.images:
        assert len(one.passes) == 2
        for times in one.passes:
            assert min(times.decode, times.preprocess, times.vit, times.connector) > 0
            assert times.transfer is None
            assert times.vit + times.connector == pytest.approx(times.vision)


def test_conditions_are_those_of_a_profile(
    encoder: Encoder, photos: Path, config: CropConfig
) -> None:
    """Of this device and encoder, with the machine's state before and after."""
    watched = TorchEncoder(encoder)
    conditions = watched.conditions(config, timed(watched, photos, config))
    assert (conditions.device_type, conditions.dtype, conditions.runtime, conditions.weights) == (
        "cpu",
        "float32",
        "eager",
        "random",
    )
    assert set(conditions.versions) == {"python", "torch", "crop_planner"}
    assert conditions.fidelity is None
    assert conditions.machine_before.clock_probe_ms
    assert conditions.machine_after.clock_probe_ms


@pytest.mark.parametrize(("share", "doubted"), [(0.5, True), (1.0, False)])
def test_passes_that_were_not_given_their_cores_are_doubted(
    encoder: Encoder, photos: Path, config: CropConfig, share: float, doubted: bool
) -> None:
    """By the limit of every measurement: CPU time over the time and threads of all passes."""
    watched = TorchEncoder(encoder)
    timing = timed(watched, photos, config)
    cores = share * torch.get_num_threads()
    images = tuple(
        replace(image, passes=tuple(replace(one, cpu=cores * one.vision) for one in image.passes))
        for image in timing.images
    )
    contended = watched.conditions(config, replace(timing, images=images)).contended
    assert ("were given 50% of their threads' time" in (contended or "")) == doubted


def test_passes_that_do_not_fit_are_refused_before(
    encoder: Encoder, photos: Path, config: CropConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what they need, as everywhere; here none fits."""
    monkeypatch.setattr("app.encoder.device.memory.free_bytes", lambda device: 1000)
    with pytest.raises(InvalidDataset, match=r"rocket\.jpg|small\.png.*would take about"):
        timed(TorchEncoder(encoder), photos, config)
