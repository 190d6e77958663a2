"""The crops that runtimes are tried on."""

from __future__ import annotations

from pathlib import Path

import torch

from app.core.plan.families import DEFAULT_FAMILY, family_named
from app.encoder.network.preprocess import PaddingState
from app.encoder.synthetic import PHOTO, check_sample, photo_crops
from tests.encoder.reference import CPU, Vectors

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


def test_the_photo_is_the_one_whose_origin_the_docs_tell() -> None:
    """Byte for byte, so that there is one note about whose it is."""
    assert PHOTO.read_bytes() == (SAMPLES / "rocket.jpg").read_bytes()


def test_on_a_cpu_it_is_the_photos_global_crop_alone(molmo1: Vectors, molmo2: Vectors) -> None:
    """And every token of it; elsewhere it is all crops, an odd number, and one of noise."""
    for family in (molmo1.family, molmo2.family):
        sample = check_sample(family, CPU, torch.float32)
        photo = photo_crops(family, CPU, torch.float32)
        assert torch.equal(sample.patches, photo.patches[:1])
        assert sample.pool_index.max() < sample.patches.shape[1]
        assert photo.total_crops % 2 == 1


def test_the_photo_has_every_state_of_padding() -> None:
    """So that each row of the padding embedding is read while a connector is checked."""
    sample = check_sample(family_named(DEFAULT_FAMILY), CPU, torch.float32)
    assert set(sample.padding_state.unique().tolist()) == set(PaddingState)
