"""The crops that runtimes are tried on."""

from __future__ import annotations

from pathlib import Path

import torch

from app.encoder.sample import PHOTO, check_sample, noise_crops, photo_crops
from tests.encoder.reference import CPU, Vectors

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


def test_the_photo_is_the_one_whose_origin_the_docs_tell() -> None:
    """Byte for byte, so that there is one note about whose it is."""
    assert PHOTO.read_bytes() == (SAMPLES / "rocket.jpg").read_bytes()


def test_on_a_cpu_it_is_the_photos_global_crop_and_one_of_noise(
    molmo1: Vectors, molmo2: Vectors
) -> None:
    """And every token of both, each pooled from its own crop."""
    for family in (molmo1.family, molmo2.family):
        sample = check_sample(family, CPU, torch.float32)
        photo = photo_crops(family, CPU, torch.float32)
        noise = noise_crops(family, CPU, torch.float32)
        assert torch.equal(sample.patches, torch.cat([photo.patches[:1], noise.patches]))
        patches, tokens = sample.patches.shape[1], len(sample.pool_index) // 2
        assert sample.pool_index[:tokens].max() < patches
        of_noise = sample.pool_index[tokens:]
        assert of_noise[of_noise >= 0].min() >= patches
        assert photo.total_crops % 2 == 1
